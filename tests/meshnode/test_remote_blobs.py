"""Blobs over HTTP: real nodes behind a real gateway, through the client and without it."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import pytest

import meshnode
from meshnode import sync
from meshnode.blob_views import BlobProgress
from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob
from meshnode.errors import CommandRejected, MalformedMessage, StorageError
from meshnode.gateway.app import Gateway
from meshnode.gateway.keys import create_key
from meshnode.runtime_file import make_runtime_record, write_runtime
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork
from tests.support.fake_node import FakeHost
from tests.vectors.generate_blobs import make_content

CONTENT = make_content(700_000)


@asynccontextmanager
async def open_pair(tmp_path):
    """A node here, another one behind HTTP, and a client of that one."""
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (a, b):
        host = FakeHost()
        vars(host)["node"] = b
        gateway = Gateway(host, api="127.0.0.1:0", home=tmp_path)
        await gateway.start()
        try:
            record = make_runtime_record(
                api=gateway.api, token=gateway.token, since_ms=5, version="0.1.0"
            )
            write_runtime(tmp_path / "runtime.json", record)
            async with meshnode.connect(tmp_path) as remote:
                yield a, remote, gateway
        finally:
            await gateway.close()


async def test_content_goes_up_and_down(tmp_path):
    async with open_pair(tmp_path) as (a, remote, _):
        path = tmp_path / "paper.bin"
        path.write_bytes(CONTENT)
        sent = []
        info = await remote.blobs.put(
            path, media_type="a/b", on_progress=lambda done, total: sent.append((done, total))
        )
        assert (info.name, info.media_type, info.pinned) == ("paper.bin", "a/b", True)
        assert sent[-1] == (len(CONTENT), len(CONTENT))
        assert await remote.blobs.get(info.id) == CONTENT
        assert await a.blobs.get(info.id) == CONTENT
        pieces = [piece async for piece in remote.blobs.open(info.id[:9])]
        assert b"".join(pieces) == CONTENT
        assert (await remote.blobs.list()).blobs == (await remote.blobs.show(info.id[:5]),)
        assert not (await remote.blobs.pin(info.id, pinned=False)).pinned
        assert await remote.blobs.remove(info.id) == info.id
        with pytest.raises(NoSuchBlob):
            await remote.blobs.show(info.id)


async def test_blob_of_another_node_is_fetched_step_by_step(tmp_path):
    async with open_pair(tmp_path) as (a, remote, _):
        info = await a.blobs.put(CONTENT)
        steps: list[BlobProgress] = []
        saved = await remote.blobs.save(info.id, tmp_path / "copy", on_progress=steps.append)
        assert (tmp_path / "copy").read_bytes() == CONTENT
        assert not saved.own
        assert steps[-1].blob == saved
        with pytest.raises(NoSuchBlob):
            await remote.blobs.fetch("0" * 64)
        with pytest.raises(NoSuchBlob):
            await remote.blobs.get("0" * 64)
        with pytest.raises(StorageError):
            await remote.blobs.save(info.id, tmp_path / "no" / "folder")


async def test_blob_is_shared_and_restricted(tmp_path):
    async with open_pair(tmp_path) as (a, remote, _):
        info = await remote.blobs.put(CONTENT)
        note = await remote.blobs.share(info.id, title="a paper")
        assert note.summary == "a paper (blob of 700000 bytes)"
        await remote.blobs.pin(info.id, pinned=False)
        with pytest.raises(CommandRejected, match="named by vertices"):
            await remote.blobs.remove(info.id)
        assert await remote.blobs.remove(info.id, force=True) == info.id
        private = await remote.blobs.put(CONTENT[1:], readers=[])
        assert private.readers == ()
        named = await remote.blobs.put(CONTENT[2:], readers=["node-1"])
        assert await a.blobs.get(named.id) == CONTENT[2:]
        with pytest.raises(CommandRejected, match="comma"):
            await remote.blobs.put(CONTENT, readers=["a,b"])


async def test_what_cannot_be_is_an_error_of_its_own(tmp_path, monkeypatch):
    async with open_pair(tmp_path) as (_, remote, _gateway):
        with pytest.raises(MalformedMessage, match="not a blob's id"):
            await remote.blobs.show("../status")
        with pytest.raises(StorageError, match="missing"):
            await remote.blobs.put(tmp_path / "missing")
        with pytest.raises(CommandRejected, match="a blob of 0 bytes"):
            await remote.blobs.put(b"")
        info = await remote.blobs.put(CONTENT)
        monkeypatch.setattr("meshnode.remote_blobs.MEMORY_BYTES_MAX", 1_000)
        with pytest.raises(CommandRejected, match="more than 1000 bytes"):
            await remote.blobs.get(info.id)
        with pytest.raises(BlobQuotaFull):
            await remote.blobs.receive(pieces(b"x"), size_bytes=4 * 1024**3)


async def pieces(*parts):
    for part in parts:
        yield part


async def test_programs_without_our_client_are_answered_in_words(tmp_path):
    async with open_pair(tmp_path) as (_, _remote, gateway), aiohttp.ClientSession() as session:
        owner = {"Authorization": f"Bearer {gateway.token.reveal()}"}
        url = f"http://{gateway.api}/api/v1/blobs"
        async with session.post(url, data=pieces(b"abc"), headers=owner) as response:
            assert response.status == 400
            assert "Content-Length" in (await response.json())["error"]["message"]
        query = "?private=true&to=node-1"
        async with session.post(f"{url}{query}", data=b"abc", headers=owner) as response:
            assert response.status == 400
        async with session.post(f"{url}?name=x&pin=false", data=b"abc", headers=owner) as response:
            assert (response.status, (await response.json())["name"]) == (200, "x")


async def test_private_content_is_for_its_owner(tmp_path):
    _, key = create_key(tmp_path, name="reader", now_ms=1_700_000_000_000, scopes=("read",))
    async with open_pair(tmp_path) as (_, remote, gateway), aiohttp.ClientSession() as session:
        private = await remote.blobs.put(CONTENT, readers=[])
        public = await remote.blobs.put(CONTENT[1:])
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        url = f"http://{gateway.api}/api/v1/blobs"
        async with session.get(f"{url}/{public.id}/content", headers=headers) as response:
            assert await response.read() == CONTENT[1:]
        async with session.get(f"{url}/{private.id}/content", headers=headers) as response:
            assert response.status == 403


def test_blocking_form_has_the_same_blobs(tmp_path):
    with sync.Node(engine="none", transport=MemoryNetwork()) as node:
        info = node.blobs.put(CONTENT)
        assert node.blobs.get(info.id) == CONTENT
        assert b"".join(node.blobs.open(info.id)) == CONTENT
        assert node.blobs.fetch(info.id) == info
        assert [step.blob for step in node.blobs.follow(info.id)] == [info]
        assert node.blobs.save(info.id, tmp_path / "copy") == info
        assert (tmp_path / "copy").read_bytes() == CONTENT
        assert node.blobs.list().blobs == (info,)
        assert node.blobs.show(info.id[:8]) == info
        assert node.blobs.share(info.id, title="t").kind == "note"
        assert node.blobs.pin(info.id, pinned=False).referenced
        assert node.blobs.remove(info.id, force=True) == info.id
