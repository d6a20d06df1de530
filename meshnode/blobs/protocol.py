"""The frames of a blob stream, byte by byte.

The fetching peer opens a stream and sends BLOB_ASK. The holder answers HELD, which says what it has
of the blob, and, where that was wanted, the manifest in MANIFEST_PARTs; or REFUSED, which is the
same for a blob that is not there and for one that the asking peer may not have. Then the fetching
peer sends CHUNK_ASKs, at most `ASKS_MAX` ahead, and the holder answers each in their order: the
chunk in CHUNK_PARTs, or CHUNK_GONE. The fetching peer finishes when it wants no more.

Every frame is a canonical MessagePack array whose first element is its tag. No tag is one of an
answer stream, and so the first frame tells which kind of stream it is. This form is frozen: version
1.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from dag.canonical import CanonicalDecoder, encode
from meshnode.core.blob_manifest import CHUNKS_MAX, MANIFEST_BYTES_MAX
from meshnode.core.blob_plan import WINDOW_CHUNKS_MAX
from meshnode.errors import InvalidMessage, MalformedMessage
from meshnode.transport.base import FRAME_BYTES_MAX

BLOB_STREAM_VERSION: Final = 1
PART_BYTES_MAX: Final = 59_000
"""Largest payload of one part; with its tag and number it always fits a frame."""
ASKS_MAX: Final = WINDOW_CHUNKS_MAX
"""Chunks that may be asked for before the first of them has come whole."""

_Id = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Index = Annotated[int, msgspec.Meta(ge=0, lt=CHUNKS_MAX)]
_PartData = Annotated[bytes, msgspec.Meta(min_length=1, max_length=PART_BYTES_MAX)]


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class BlobAsk(_Wire, frozen=True, tag=32):
    """Who has this blob?"""

    version: int
    id: _Id
    wants_manifest: bool


class ChunkAsk(_Wire, frozen=True, tag=33):
    """Send this chunk."""

    index: _Index


class Held(_Wire, frozen=True, tag=34):
    """What the holder has."""

    manifest_bytes: Annotated[int, msgspec.Meta(ge=0, le=MANIFEST_BYTES_MAX)]
    """Size of the manifest that follows; 0 where it was not wanted."""
    bitmap: Annotated[bytes, msgspec.Meta(min_length=1, max_length=CHUNKS_MAX // 8)]
    """Chunk 0 is the lowest bit of the first byte."""
    restricted: bool
    """Whether the holder gives it to some members only: then whoever gets it keeps it to itself."""


class ManifestPart(_Wire, frozen=True, tag=35):
    """A piece of the manifest."""

    data: _PartData


class ChunkPart(_Wire, frozen=True, tag=36):
    """A piece of the chunk whose turn it is."""

    index: _Index
    data: _PartData


class ChunkGone(_Wire, frozen=True, tag=37):
    """The holder no longer has the chunk whose turn it is."""

    index: _Index


class Refused(_Wire, frozen=True, tag=38):
    """Nothing here, or not now."""

    reason: Literal["absent", "busy"]


BlobAskFrame = BlobAsk | ChunkAsk
BlobFrame = Held | ManifestPart | ChunkPart | ChunkGone | Refused

_ask_decoder: Final[CanonicalDecoder[BlobAskFrame]] = CanonicalDecoder(
    BlobAskFrame,  # type: ignore[arg-type]  # a union is a type form, not a type
    what="frame of who fetches a blob",
    bytes_max=64,
)
_frame_decoder: Final[CanonicalDecoder[BlobFrame]] = CanonicalDecoder(
    BlobFrame,  # type: ignore[arg-type]  # as above
    what="frame of who holds a blob",
    bytes_max=FRAME_BYTES_MAX,
)


def encode_frame(frame: BlobAskFrame | BlobFrame) -> bytes:
    """Write a frame."""
    return encode(frame)


def decode_ask_frame(data: bytes) -> BlobAskFrame:
    """Read what a fetching peer sends. Raises `MalformedMessage` or `MessageTooLarge`."""
    frame = _ask_decoder.decode(data)
    if isinstance(frame, BlobAsk) and frame.version != BLOB_STREAM_VERSION:
        raise MalformedMessage(f"blob stream version {frame.version} is not {BLOB_STREAM_VERSION}")
    return frame


def decode_blob_frame(data: bytes) -> BlobFrame:
    """Read what a holder sends. Raises `MalformedMessage` or `MessageTooLarge`."""
    return _frame_decoder.decode(data)


def begins_blob_stream(frame: bytes) -> bool:
    """Whether a stream that begins with this frame is about a blob."""
    try:
        return isinstance(_ask_decoder.decode(frame), BlobAsk)
    except InvalidMessage:
        return False


def split_parts(data: bytes) -> list[bytes]:
    """Cut a payload into pieces that fit a frame each, in order."""
    return [data[start : start + PART_BYTES_MAX] for start in range(0, len(data), PART_BYTES_MAX)]
