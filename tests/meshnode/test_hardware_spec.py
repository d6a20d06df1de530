"""Hardware documents: signed by the provider, named by a digest, and never a place for secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.keys import derive_secret_keys
from meshnode.errors import ConfigError, InvalidSignature, MalformedMessage, WrongNetwork
from meshnode.hardware_spec import (
    DOCUMENT_BYTES_MAX,
    TEXT_CHARACTERS_MAX,
    HardwareSpec,
    compute_hardware_digest,
    encode_document,
    load_document,
    locate_document,
    read_document,
    sign_spec,
    store_document,
)

NETWORK = bytes(range(32))
SECRETS = derive_secret_keys(bytes(32))
SPEC = HardwareSpec(accelerator="NVIDIA H100 80GB", accelerators=8, engine="vLLM 0.11")


def make_document(suite="hybrid"):
    return sign_spec(SPEC, secrets=SECRETS, suite=suite, network=NETWORK)


def alter(**changes) -> bytes:
    data = json.loads(encode_document(make_document()))
    return json.dumps({**data, **changes}).encode()


@pytest.mark.parametrize("suite", ["hybrid", "ed25519"])
def test_document_is_checked_from_its_bytes_alone(suite):
    document = make_document(suite)
    read = read_document(encode_document(document), network=NETWORK)
    assert read == document
    assert compute_hardware_digest(bytes.fromhex(read.author), read.spec).hex() == read.digest


def test_digest_is_the_authors_and_the_texts_alone():
    first, second = make_document(), make_document()
    assert first.digest == second.digest
    assert first.signature != second.signature
    other = HardwareSpec(accelerator="NVIDIA H100 80GB", accelerators=9, engine="vLLM 0.11")
    assert sign_spec(other, secrets=SECRETS, suite="hybrid", network=NETWORK).digest != first.digest


def test_largest_document_fits_a_note():
    names = ("accelerator", "interconnect", "cpu", "engine", "region", "tee", "remarks")
    texts: dict[str, Any] = dict.fromkeys(names, "\U0001f600" * TEXT_CHARACTERS_MAX)
    spec = HardwareSpec(**texts)
    document = sign_spec(spec, secrets=SECRETS, suite="hybrid", network=NETWORK)
    assert len(encode_document(document)) <= DOCUMENT_BYTES_MAX
    assert read_document(encode_document(document)) == document


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"\xff", MalformedMessage, "is JSON"),
        (b"[" * 9_000, MalformedMessage, "is JSON"),
        (b"[]", MalformedMessage, "not a document"),
        (b'{"schema": "meshnode.hardware/2"}', MalformedMessage, "not a document"),
        (b'{"schema": "meshnode.hardware/1"}', MalformedMessage, "HardwareDocument"),
        (b" " * (DOCUMENT_BYTES_MAX + 1), MalformedMessage, "at most"),
        (alter(author="x"), MalformedMessage, "'author' of the hardware document is not hex"),
        (alter(spec={"accelerators": -1}), MalformedMessage, "accelerators is not 0"),
        (alter(network="00" * 32), WrongNetwork, "another network"),
        (alter(author="00" * 32), InvalidSignature, "not its author's"),
        (alter(mldsa65_key=""), InvalidSignature, "not those of its suite"),
        (alter(suite="ed25519"), InvalidSignature, "not those of its suite"),
        (alter(spec={"accelerators": 9}), InvalidSignature, "digest"),
        (alter(signature="00" * 3_373), InvalidSignature, "not signed"),
        (alter(signature=""), InvalidSignature, "not signed"),
    ],
)
def test_altered_document_is_refused(data, error, words):
    with pytest.raises(error, match=words):
        read_document(data, network=NETWORK)


def test_document_of_another_network_does_not_verify():
    with pytest.raises(InvalidSignature, match="not signed"):
        read_document(alter(network="00" * 32))


def test_document_is_kept_in_the_home_folder(tmp_path):
    document = make_document()
    path = store_document(tmp_path, document)
    assert path == tmp_path / "hardware" / f"{document.digest}.json"
    assert path.stat().st_mode & 0o077 == 0
    assert load_document(tmp_path, document.digest) == document
    assert load_document(tmp_path, "00" * 32) is None
    path.rename(locate_document(tmp_path, "00" * 32))
    with pytest.raises(InvalidSignature, match="not the one"):
        load_document(tmp_path, "00" * 32)
    with pytest.raises(MalformedMessage, match="in hex"):
        load_document(tmp_path, "../../etc/passwd")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"accelerators": -1}, "accelerators is not 0"),
        ({"cpu": "x" * 129}, "cpu has more than 128"),
        ({"cpu": "x\n"}, "control characters"),
    ],
)
def test_specification_is_bounded(fields, words):
    with pytest.raises(ConfigError, match=words):
        HardwareSpec(**fields)


@given(
    st.sampled_from(("accelerator", "interconnect", "cpu", "engine", "region", "tee", "remarks")),
    st.from_regex(r"\Ask-[A-Za-z0-9]{20,40}\Z"),
)
def test_credential_in_a_specification_is_refused_and_not_repeated(name, key):
    texts: dict[str, Any] = {name: f"see {key}"}
    with pytest.raises(ConfigError, match="looks like") as caught:
        HardwareSpec(**texts)
    assert key not in str(caught.value)
