"""Blobs of a node that holds them in memory, for tests of what stands before."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from meshnode.blob_views import BlobInfo, BlobProgress, BlobShelf
from meshnode.blobs.errors import NoSuchBlob
from tests.support.views import make_vertex

PIECE_BYTES = 10


class FakeBlobs:
    """As `node.blobs`; ids are digests of the content."""

    def __init__(self):
        self.contents: dict[str, bytes] = {}
        self.infos: dict[str, BlobInfo] = {}
        self.shared: list[tuple[str, str]] = []

    async def put(
        self, content, *, name="", media_type="", readers=None, pin=True, on_progress=None
    ):
        if isinstance(content, Path):
            name, content = name or content.name, await asyncio.to_thread(content.read_bytes)
        blob_id = hashlib.sha256(content).hexdigest()
        if on_progress is not None:
            on_progress(len(content), len(content))
        self.contents[blob_id] = content
        self.infos[blob_id] = make_blob(
            id=blob_id,
            size_bytes=len(content),
            name=name,
            media_type=media_type,
            readers=None if readers is None else tuple(readers),
            pinned=pin,
        )
        return self.infos[blob_id]

    async def share(self, blob_id, *, title="", media_type="", knowledge=()):
        self.shared.append((blob_id, title))
        return make_vertex("note", "ada", 1, kind="note")

    async def get(self, blob_id):
        return self.contents[(await self.show(blob_id)).id]

    async def save(self, blob_id, path, *, patience_ms=0, on_progress=None):
        await asyncio.to_thread(path.write_bytes, self.contents[blob_id])
        return self.infos[blob_id]

    async def fetch(self, blob_id, *, patience_ms=0, on_progress=None):
        info = await self.show(blob_id)
        if on_progress is not None:
            on_progress(BlobProgress(size_bytes=0, held_bytes=0, holders=0))
        return info

    async def open(self, blob_id, *, patience_ms=0):
        content = self.contents[blob_id]
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]

    async def list(self):
        blobs = tuple(self.infos.values())
        used = sum(blob.size_bytes for blob in blobs)
        return BlobShelf(blobs=blobs, used_bytes=used, quota_bytes=1 << 30)

    async def show(self, blob_id):
        for known, info in self.infos.items():
            if known.startswith(blob_id):
                return info
        raise NoSuchBlob(f"no blob here begins with '{blob_id}'")

    async def pin(self, blob_id, *, pinned=True):
        info = await self.show(blob_id)
        self.infos[info.id] = make_blob(id=info.id, size_bytes=info.size_bytes, pinned=pinned)
        return self.infos[info.id]

    async def remove(self, blob_id, *, force=False):
        info = await self.show(blob_id)
        del self.infos[info.id]
        return info.id


def make_blob(**changes) -> BlobInfo:
    """A blob as it is shown."""
    return BlobInfo(
        **{
            "id": "ab" * 32,
            "size_bytes": 300_000,
            "chunks": 2,
            "added_ms": 1_700_000_000_000,
            "whole": True,
            "own": True,
            "pinned": True,
            "referenced": False,
            **changes,
        }
    )
