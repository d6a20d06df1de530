"""Encryption with a certificate of the owner's, and clients that trust it and nothing else."""

from __future__ import annotations

import ssl

import aiohttp
import pytest

from meshnode.client import RemoteNode
from meshnode.errors import ConfigError
from meshnode.gateway.app import Gateway
from meshnode.gateway.tls import NO_TLS, TlsFiles, make_client_context, make_server_context
from meshnode.runtime_file import make_runtime_record
from tests.support.certificates import write_certificate
from tests.support.fake_node import FakeHost, open_gateway


@pytest.fixture
def files(tmp_path):
    return write_certificate(tmp_path)


async def test_commands_and_sdk_follow_an_encrypted_interface(files, tmp_path):
    async with open_gateway(api="127.0.0.1:0", tls=files) as (_, gateway):
        assert gateway.url.startswith("https://127.0.0.1:")
        record = make_runtime_record(
            api=gateway.api,
            token=gateway.token,
            since_ms=1,
            version="0",
            certificate=files.certificate,
        )
        async with RemoteNode(record) as node:
            status = await node.status()
            assert status.api_url == gateway.url
            async with node.openai() as client:
                assert str(client.base_url) == f"{gateway.url}/v1/"
                models = await client.models.list()
                assert [model.id for model in models.data] == ["kimi-k2/fp8"]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{gateway.url}/livez")
            plain = f"http://{gateway.api}/livez"
            with pytest.raises(aiohttp.ClientError):
                await session.get(plain)


async def test_other_certificate_is_not_trusted(files, tmp_path):
    other = write_certificate(tmp_path, name="other")
    async with open_gateway(api="127.0.0.1:0", tls=files) as (_, gateway):
        trust = make_client_context(str(other.certificate))
        assert trust is not None
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{gateway.url}/livez", ssl=trust)


async def test_certificate_allows_listening_beyond_this_machine(files):
    async with open_gateway(api="0.0.0.0:0", tls=files) as (_, gateway):
        trust = make_client_context(str(files.certificate))
        assert trust is not None
        async with aiohttp.ClientSession() as session:
            url = f"https://127.0.0.1:{gateway.api.rpartition(':')[2]}/livez"
            headers = {"Host": "node.example"}
            async with session.get(url, ssl=trust, headers=headers) as response:
                assert response.status == 200


def test_without_encryption_it_is_refused_or_warned_of(caplog):
    with pytest.raises(ConfigError, match="not encrypted"):
        Gateway(FakeHost(), api="0.0.0.0:0")
    Gateway(FakeHost(), api="0.0.0.0:0", insecure=True)
    assert "WITHOUT ENCRYPTION" in caplog.text


def test_key_may_stand_in_the_certificates_file(tmp_path):
    files = write_certificate(tmp_path, together=True)
    assert files.key is None
    assert isinstance(make_server_context(files), ssl.SSLContext)


def test_unusable_files_are_one_clear_error(tmp_path, files):
    assert make_server_context(NO_TLS) is None
    missing, locked = tmp_path / "missing.pem", write_certificate(tmp_path, passphrase=b"x")
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for bad in (
        TlsFiles(None, files.key),
        TlsFiles(missing, files.key),
        TlsFiles(junk, files.key),
        TlsFiles(files.certificate, missing),
        locked,
    ):
        with pytest.raises(ConfigError):
            make_server_context(bad)
    for path in (missing, junk):
        with pytest.raises(ConfigError):
            make_client_context(str(path))
    assert make_client_context("") is None
