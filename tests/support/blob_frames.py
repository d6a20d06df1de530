"""One valid frame of every kind on a blob stream."""

from __future__ import annotations

from meshnode.blobs.protocol import (
    BlobAsk,
    ChunkAsk,
    ChunkGone,
    ChunkPart,
    Held,
    ManifestPart,
    Refused,
    encode_frame,
)

BLOB_ASKS = (encode_frame(BlobAsk(1, bytes(32), True)), encode_frame(ChunkAsk(7)))
BLOB_FRAMES = (
    encode_frame(Held(77, b"\x01", False)),
    encode_frame(ManifestPart(b"m")),
    encode_frame(ChunkPart(7, b"c")),
    encode_frame(ChunkGone(7)),
    encode_frame(Refused("busy")),
)
