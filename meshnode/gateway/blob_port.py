"""What the HTTP interface needs of a node's blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from meshnode.blob_views import BlobInfo, BlobProgress, BlobShelf
from meshnode.views import VertexInfo

PATIENCE_MS = 30_000
"""A fetch is given up after so long without anything new."""


class BlobPort(Protocol):
    """Content that is too large for a vertex, in this process or behind its HTTP interface."""

    async def receive(
        self,
        pieces: AsyncIterator[bytes],
        *,
        size_bytes: int,
        name: str = "",
        media_type: str = "",
        readers: Sequence[str] | None = None,
        pin: bool = True,
    ) -> BlobInfo:
        """Keep content that comes piece by piece, and must have this size."""

    async def share(
        self,
        blob_id: str,
        *,
        title: str = "",
        media_type: str = "",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Say to the mesh that there is this blob, in a note that names it."""

    def open(self, blob_id: str, *, patience_ms: int = PATIENCE_MS) -> AsyncIterator[bytes]:
        """The content piece by piece, fetched where it is not here."""

    def follow(
        self, blob_id: str, *, patience_ms: int = PATIENCE_MS
    ) -> AsyncIterator[BlobProgress]:
        """Fetch it, step by step; the last item holds the blob."""

    async def list(self) -> BlobShelf:
        """What the node holds."""

    async def show(self, blob_id: str) -> BlobInfo:
        """One that the node holds, by its id or the beginning of it."""

    async def pin(self, blob_id: str, *, pinned: bool = True) -> BlobInfo:
        """Keep one whatever happens, or no longer."""

    async def remove(self, blob_id: str, *, force: bool = False) -> str:
        """Forget one. Answers its id."""
