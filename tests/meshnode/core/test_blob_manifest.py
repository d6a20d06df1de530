"""Manifests: one form for one content, and nothing else passes for it."""

from __future__ import annotations

import hashlib
import json

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.errors import MalformedMessage, MessageTooLarge
from meshnode.core.blob_manifest import (
    BLOB_BYTES_MAX,
    BLOB_DOMAIN,
    CHUNK_BYTES_MAX,
    CHUNK_BYTES_MIN,
    CHUNK_DOMAIN,
    CHUNKS_MAX,
    MANIFEST_BYTES_MAX,
    Manifest,
    compute_blob_id,
    compute_chunk_bytes,
    decode_bitmap,
    decode_manifest,
    digest_content,
    encode_bitmap,
    encode_manifest,
    make_blob_ref,
    make_full,
    make_manifest,
)
from tests.vectors import generate_blobs

CONTENT = generate_blobs.make_content(2 * CHUNK_BYTES_MIN + 5)


def test_vectors_are_what_the_code_computes():
    kept = json.loads(generate_blobs.PATH.read_text(encoding="utf-8"))
    assert kept == generate_blobs.make_vectors()


def test_vectors_are_what_another_implementation_computes():
    kept = json.loads(generate_blobs.PATH.read_text(encoding="utf-8"))
    for blob in kept["blobs"]:
        content = generate_blobs.make_content(blob["size_bytes"])
        step = blob["chunk_bytes"]
        digests = b"".join(
            hashlib.sha256(CHUNK_DOMAIN + b"\0" + content[start : start + step]).digest()
            for start in range(0, len(content), step)
        )
        packed = msgpack.packb([1, len(content), step, digests])
        assert packed.hex() == blob["manifest"]
        assert hashlib.sha256(BLOB_DOMAIN + b"\0" + packed).hexdigest() == blob["id"]
        reference = [bytes.fromhex(blob["id"]), len(content)]
        body = msgpack.packb(["text/plain", "a blob", b"", reference])
        assert body.hex() == blob["note_body"]


def test_manifest_is_read_back_where_the_id_names_it():
    manifest = digest_content(CONTENT)
    ref = make_blob_ref(manifest)
    assert decode_manifest(encode_manifest(manifest), ref.id) == manifest
    assert (manifest.chunks, ref.size_bytes) == (3, len(CONTENT))
    assert [manifest.get_chunk_size(index) for index in range(3)] == [
        CHUNK_BYTES_MIN,
        CHUNK_BYTES_MIN,
        5,
    ]


def test_chunk_is_told_from_any_other_bytes():
    manifest = digest_content(CONTENT)
    assert manifest.is_chunk(2, CONTENT[-5:])
    assert manifest.is_chunk(0, memoryview(CONTENT)[:CHUNK_BYTES_MIN])
    assert not manifest.is_chunk(1, CONTENT[:CHUNK_BYTES_MIN])
    assert not manifest.is_chunk(2, CONTENT[-6:])


@pytest.mark.parametrize(
    ("size_bytes", "chunk_bytes"),
    [
        (1, CHUNK_BYTES_MIN),
        (CHUNKS_MAX * CHUNK_BYTES_MIN, CHUNK_BYTES_MIN),
        (CHUNKS_MAX * CHUNK_BYTES_MIN + 1, 2 * CHUNK_BYTES_MIN),
        (BLOB_BYTES_MAX, CHUNK_BYTES_MAX),
    ],
)
def test_chunks_grow_with_the_whole(size_bytes, chunk_bytes):
    assert compute_chunk_bytes(size_bytes) == chunk_bytes
    chunks = -(-size_bytes // chunk_bytes)
    manifest = make_manifest(size_bytes, [bytes(32)] * chunks)
    assert len(encode_manifest(manifest)) <= MANIFEST_BYTES_MAX
    assert sum(map(manifest.get_chunk_size, range(chunks))) == size_bytes


@pytest.mark.parametrize(
    "manifest",
    [
        Manifest(2, 10, CHUNK_BYTES_MIN, bytes(32)),
        Manifest(1, 10, 2 * CHUNK_BYTES_MIN, bytes(32)),
        Manifest(1, 10, CHUNK_BYTES_MIN, bytes(64)),
        Manifest(1, 10, CHUNK_BYTES_MIN, bytes(31)),
        Manifest(1, 10, CHUNK_BYTES_MIN, b""),
        Manifest(1, 0, CHUNK_BYTES_MIN, b""),
        Manifest(1, BLOB_BYTES_MAX + 1, CHUNK_BYTES_MAX, bytes(32)),
    ],
)
def test_manifest_is_refused_when_it_contradicts_itself(manifest):
    data = encode_manifest(manifest)
    with pytest.raises(MalformedMessage):
        decode_manifest(data, compute_blob_id(data))


def test_manifest_is_refused_under_another_id():
    data = encode_manifest(digest_content(CONTENT))
    with pytest.raises(MalformedMessage, match="not the one"):
        decode_manifest(data, bytes(32))
    with pytest.raises(MalformedMessage, match="not the one"):
        decode_manifest(data, b"")


def test_manifest_is_refused_when_it_is_too_large():
    data = bytes(MANIFEST_BYTES_MAX + 1)
    with pytest.raises(MessageTooLarge):
        decode_manifest(data, compute_blob_id(data))


@given(st.binary(max_size=200))
def test_bytes_are_a_manifest_or_refused(data):
    with pytest.raises((MalformedMessage, MessageTooLarge)):
        decode_manifest(data, compute_blob_id(data))


@given(st.integers(1, 100), st.data())
def test_bitmap_is_read_back(chunks, data):
    held = data.draw(st.integers(0, make_full(chunks)))
    assert decode_bitmap(chunks, encode_bitmap(chunks, held)) == held


@pytest.mark.parametrize(("chunks", "data"), [(8, b""), (8, bytes(2)), (3, b"\x08"), (9, b"\xff")])
def test_bitmap_is_refused_when_it_is_of_another_size(chunks, data):
    with pytest.raises(MalformedMessage):
        decode_bitmap(chunks, data)


@given(st.integers(1, 700_000))
def test_content_of_any_size_has_one_manifest(size_bytes):
    manifest = digest_content(bytes(size_bytes))
    assert manifest.chunks == -(-size_bytes // CHUNK_BYTES_MIN)
    assert manifest.is_chunk(
        manifest.chunks - 1, bytes(manifest.get_chunk_size(manifest.chunks - 1))
    )
