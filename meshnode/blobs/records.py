"""What is remembered of a blob beside its content."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.types import ID_BYTES
from meshnode.core.blob_manifest import MANIFEST_BYTES_MAX, decode_manifest
from meshnode.errors import InvalidMessage

NAME_CHARS_MAX: Final = 256
READERS_MAX: Final = 64
RECORD_BYTES_MAX: Final = MANIFEST_BYTES_MAX + 8_192

_Text = Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)]
_Id = Annotated[bytes, msgspec.Meta(min_length=ID_BYTES, max_length=ID_BYTES)]


class BlobRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A blob on this node's disk, or the part of it that is there."""

    id: _Id
    manifest: bytes
    size_bytes: int
    """Of the whole, as the manifest says."""
    name: _Text = ""
    """How its file is called, for people; of own blobs only."""
    media_type: _Text = ""
    added_ms: int = 0
    is_own: bool = False
    """Whether it was put here, not fetched."""
    is_pinned: bool = False
    """Whether somebody wants it to stay."""
    is_referenced: bool = False
    """Whether own vertices name it: they promise it to others."""
    readers: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=READERS_MAX)] | None = None
    """The members it is given to; None for every member, empty for nobody."""

    @property
    def is_kept(self) -> bool:
        """Whether it never goes by itself."""
        return self.is_pinned or self.is_referenced

    def may_be_read_by(self, author: bytes) -> bool:
        """Whether a member is given it."""
        return self.readers is None or author in self.readers


_decoder: Final = CanonicalDecoder(BlobRecord, what="blob record", bytes_max=RECORD_BYTES_MAX)


def encode_record(record: BlobRecord) -> bytes:
    """The bytes of a record, for the disk."""
    return encode(record)


def read_record(data: bytes) -> BlobRecord | None:
    """A record from the disk; None for what is none."""
    try:
        record = _decoder.decode(data)
        manifest = decode_manifest(record.manifest, record.id)
    except InvalidMessage:
        return None
    return record if record.size_bytes == manifest.size_bytes else None
