"""What people are shown of blobs: what a node holds, and how far a fetch is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meshnode.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInfo(View):
    """A blob that a node holds, or a part of one."""

    schema: ClassVar[str] = "meshnode.blob/1"

    id: str
    size_bytes: int
    """Of the whole."""
    chunks: int
    added_ms: int
    whole: bool
    """False where a fetch was broken off; the next one goes on from there."""
    own: bool
    """Whether it was put here, not fetched."""
    pinned: bool
    """Whether it stays until somebody says otherwise."""
    referenced: bool
    """Whether vertices of this node name it; then it stays, too."""
    readers: tuple[str, ...] | None = None
    """The members it is given to; null for every member, empty for nobody."""
    name: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobShelf(View):
    """All that a node holds."""

    schema: ClassVar[str] = "meshnode.blobs/1"

    blobs: tuple[BlobInfo, ...]
    """The newest first."""
    used_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobProgress(View):
    """How far a fetch is."""

    size_bytes: int
    """Of the whole; 0 while nobody has said."""
    held_bytes: int
    holders: int
    """Peers that give something right now."""
    blob: BlobInfo | None = None
    """Given last, once all is here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRemoved(View):
    """A blob was forgotten."""

    schema: ClassVar[str] = "meshnode.blob_removed/1"

    id: str
