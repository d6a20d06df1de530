"""What a blob is: a manifest that names the digest of every chunk, and an id that names the manifest.

Whoever knows the id can check the manifest, and whoever has the manifest can check every chunk by
itself, from whomever it comes. The size of the chunks follows from the size of the whole, so the
same content has one manifest and one id everywhere. This form is frozen: version 1.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from dag.bodies import BlobRef
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import MalformedMessage
from dag.types import ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOB_DOMAIN: Final = b"meshnode/blob/1"
CHUNK_DOMAIN: Final = b"meshnode/chunk/1"
MANIFEST_VERSION: Final = 1
CHUNK_BYTES_MIN: Final = 256 * 1024
"""Chunks of every blob up to 1 GiB."""
CHUNKS_MAX: Final = 4_096
CHUNK_BYTES_MAX: Final = 1024 * 1024
BLOB_BYTES_MAX: Final = CHUNKS_MAX * CHUNK_BYTES_MAX
"""Largest blob: 4 GiB."""
DIGEST_BYTES: Final = 32
MANIFEST_BYTES_MAX: Final = CHUNKS_MAX * DIGEST_BYTES + 64

_CHUNK_PREFIX: Final = CHUNK_DOMAIN + b"\x00"


class Manifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The chunks that a blob consists of."""

    version: int
    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=BLOB_BYTES_MAX)]
    chunk_bytes: Annotated[int, msgspec.Meta(ge=CHUNK_BYTES_MIN, le=CHUNK_BYTES_MAX)]
    """Size of every chunk but the last; follows from the size of the whole."""
    digests: Annotated[bytes, msgspec.Meta(max_length=CHUNKS_MAX * DIGEST_BYTES)]
    """The chunks' digests, one after the other."""

    @property
    def chunks(self) -> int:
        """How many there are."""
        return len(self.digests) // DIGEST_BYTES

    def get_chunk_size(self, index: int) -> int:
        """Bytes of one chunk; the last may be shorter."""
        return min(self.chunk_bytes, self.size_bytes - index * self.chunk_bytes)

    def is_chunk(self, index: int, data: bytes | bytearray | memoryview) -> bool:
        """Whether these bytes are the chunk of this number."""
        start = index * DIGEST_BYTES
        return compute_chunk_digest(data) == self.digests[start : start + DIGEST_BYTES]


_decoder: Final = CanonicalDecoder(Manifest, what="manifest", bytes_max=MANIFEST_BYTES_MAX)


def compute_chunk_bytes(size_bytes: int) -> int:
    """The size of chunks of a blob: the smallest power of two with which there are few enough."""
    chunk_bytes = CHUNK_BYTES_MIN
    while chunk_bytes * CHUNKS_MAX < size_bytes:
        chunk_bytes *= 2
    return chunk_bytes


def compute_chunk_digest(data: bytes | bytearray | memoryview) -> bytes:
    """Name a chunk by its bytes."""
    digest = hashlib.sha256(_CHUNK_PREFIX)
    digest.update(data)
    return digest.digest()


def make_manifest(size_bytes: int, digests: Sequence[bytes]) -> Manifest:
    """The manifest of content of which every chunk was digested, in order."""
    chunk_bytes = compute_chunk_bytes(size_bytes)
    assert 1 <= size_bytes <= BLOB_BYTES_MAX, "callers check the size first"
    assert len(digests) == -(-size_bytes // chunk_bytes), "one digest for each chunk"
    return Manifest(MANIFEST_VERSION, size_bytes, chunk_bytes, b"".join(digests))


def digest_content(content: bytes) -> Manifest:
    """The manifest of content that is there as a whole."""
    step = compute_chunk_bytes(len(content))
    view = memoryview(content)
    starts = range(0, len(content), step)
    return make_manifest(
        len(content), [compute_chunk_digest(view[start : start + step]) for start in starts]
    )


def encode_manifest(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return encode(manifest)


def compute_blob_id(manifest: bytes) -> bytes:
    """Name a blob by the canonical bytes of its manifest."""
    return compute_digest(BLOB_DOMAIN, manifest)


def make_blob_ref(manifest: Manifest) -> BlobRef:
    """How a vertex names this blob."""
    return BlobRef(compute_blob_id(encode_manifest(manifest)), manifest.size_bytes)


def decode_manifest(data: bytes, blob_id: bytes) -> Manifest:
    """Read the manifest of a blob. Raises `MalformedMessage` for bytes that are not it."""
    if len(blob_id) != ID_BYTES or compute_blob_id(data) != blob_id:
        raise MalformedMessage("a manifest is not the one that the blob's id names")
    manifest = _decoder.decode(data)
    if manifest.version != MANIFEST_VERSION:
        raise MalformedMessage(f"manifest version {manifest.version} is not {MANIFEST_VERSION}")
    if manifest.chunk_bytes != compute_chunk_bytes(manifest.size_bytes):
        raise MalformedMessage(f"chunks of {manifest.chunk_bytes} bytes do not fit that size")
    count = -(-manifest.size_bytes // manifest.chunk_bytes)
    if len(manifest.digests) != count * DIGEST_BYTES:
        raise MalformedMessage(f"a blob of {count} chunks needs {count} digests")
    return manifest


def encode_bitmap(chunks: int, held: int) -> bytes:
    """Which chunks are held, bit by bit: chunk 0 is the lowest bit of the first byte."""
    return held.to_bytes(-(-chunks // 8), "little")


def decode_bitmap(chunks: int, data: bytes) -> int:
    """The inverse of `encode_bitmap`. Raises `MalformedMessage`."""
    held = int.from_bytes(data, "little")
    if len(data) != -(-chunks // 8) or held >> chunks:
        raise MalformedMessage(f"a bitmap of {len(data)} bytes is not one of {chunks} chunks")
    return held


def make_full(chunks: int) -> int:
    """The bits of a blob that is there as a whole."""
    return (1 << chunks) - 1
