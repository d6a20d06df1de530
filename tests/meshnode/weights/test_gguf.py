"""The head of a GGUF file is read exactly, and a hostile one costs nothing and breaks nothing."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.engines.base import EngineError
from meshnode.weights import gguf
from meshnode.weights.gguf import SkippedList, read_gguf
from tests.support.gguf_files import entry, make_gguf, tensor, text


@pytest.fixture
def read(tmp_path):
    def read(data):
        (tmp_path / "m.gguf").write_bytes(data)
        return read_gguf(tmp_path / "m.gguf")

    return read


def test_head_is_read(read):
    data = make_gguf()
    info = read(data)
    assert (info.version, info.tensors, info.parameters) == (3, 2, 3_000)
    assert (info.architecture, info.context_tokens, info.size_bytes) == ("llama", 512, len(data))
    assert info.metadata["tokenizer.ggml.tokens"] == SkippedList(3)
    assert info.metadata["tokenizer.ggml.add_bos_token"] is True
    assert info.metadata["llama.rope.scale"] == 0.5
    assert info.quantisation == "Q4_0"
    assert info.get_text("llama.context_length") == ""
    assert info.get_count("general.name") == 0
    assert info.get_count("tokenizer.ggml.add_bos_token") == 0


def test_named_quantisation_wins(read):
    assert read(make_gguf({"general.file_type": 15})).quantisation == "Q4_K_M"
    assert read(make_gguf({"general.file_type": 99})).quantisation == "Q4_0"
    bare = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    assert read(bare + bytes(8)).quantisation == ""


def head(entries=0, tensors=0, version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no GGUF"),
        (b"PK\x03\x04" * 9, "no GGUF"),
        (head(version=1), "version 1"),
        (head(version=0x03000000), "version"),
        (head(entries=2**40), "entries"),
        (head(tensors=2**40), "tensors"),
        (head(entries=1), "middle"),
        (head(entries=1) + struct.pack("<Q", 2**50), "text of"),
        (head(entries=1) + text("k") + struct.pack("<I", 77) + bytes(64), "unknown type 77"),
        (head(entries=1) + text("k") + struct.pack("<IIQ", 9, 9, 1) + bytes(64), "list of lists"),
        (head(entries=1) + text("k") + struct.pack("<IIQ", 9, 4, 2**60) + bytes(64), "items"),
        (head(entries=1) + text("k") + struct.pack("<IIQ", 9, 10, 30) + bytes(64), "middle"),
        (head(tensors=1) + text("t") + struct.pack("<I", 99) + bytes(900), "99 dimensions"),
        (head(tensors=1) + struct.pack("<Q", 2**60) + bytes(64), "middle"),
    ],
)
def test_broken_head_is_refused(read, data, words):
    with pytest.raises(EngineError, match=words):
        read(data)


def test_what_is_kept_is_bounded(read, monkeypatch):
    monkeypatch.setattr(gguf, "KEPT_BYTES_MAX", 60)
    with pytest.raises(EngineError, match="more than 60 bytes"):
        read(make_gguf())
    monkeypatch.setattr(gguf, "LIST_TEXTS_MAX", 2)
    with pytest.raises(EngineError, match="more than 2 texts"):
        read(make_gguf({"list": ["a", "b", "c"]}))


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(EngineError, match="cannot be read"):
        read_gguf(tmp_path / "absent.gguf")


def test_unknown_tensor_type_has_its_number(read):
    data = head(tensors=1) + tensor("t", 2, 3, kind=250) + bytes(32)
    assert read(data).tensor_types == {"type 250": 1}
    assert entry("k", 1)


@given(data=st.data())
def test_any_damage_is_an_error_or_harmless(tmp_path_factory, data):
    whole = bytearray(make_gguf())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(bytes(whole[:cut]))
    with suppress(EngineError):
        read_gguf(path)
