"""Blobs in the blocking form of a node: `node.blobs`, the same methods with the same arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from meshnode.blob_views import BlobInfo, BlobProgress, BlobShelf
    from meshnode.views import VertexInfo


class SyncBlobs:
    """Content that is too large for a vertex; `meshnode.node.blobs.Blobs` says what each does."""

    def __init__(
        self,
        call: Callable[..., Any],
        iterate: Callable[..., Generator[Any, None, None]],
    ) -> None:
        """`call` waits for what a method of the node's blobs answers, `iterate` gives its items."""
        self._call = call
        self._iterate = iterate

    def put(self, content: bytes | Path, **options: Any) -> BlobInfo:
        """Keep content, or that of a file, and give it to members who ask for its id."""
        info: BlobInfo = self._call("put", content, **options)
        return info

    def share(self, blob_id: str, **options: Any) -> VertexInfo:
        """Say to the mesh that there is this blob, in a note that names it."""
        vertex: VertexInfo = self._call("share", blob_id, **options)
        return vertex

    def get(self, blob_id: str, **options: Any) -> bytes:
        """The content, fetched where it is not here."""
        content: bytes = self._call("get", blob_id, **options)
        return content

    def save(self, blob_id: str, path: Path, **options: Any) -> BlobInfo:
        """Write the content to a file, fetched where it is not here."""
        info: BlobInfo = self._call("save", blob_id, path, **options)
        return info

    def open(self, blob_id: str, **options: Any) -> Generator[bytes, None, None]:
        """The content piece by piece, fetched where it is not here."""
        return self._iterate("open", blob_id, **options)

    def fetch(self, blob_id: str, **options: Any) -> BlobInfo:
        """Have a blob at the node: from its author, or from any member that has it."""
        info: BlobInfo = self._call("fetch", blob_id, **options)
        return info

    def follow(self, blob_id: str, **options: Any) -> Generator[BlobProgress, None, None]:
        """As `fetch`, step by step; the last item holds the blob."""
        return self._iterate("follow", blob_id, **options)

    def list(self) -> BlobShelf:
        """What the node holds."""
        shelf: BlobShelf = self._call("list")
        return shelf

    def show(self, blob_id: str) -> BlobInfo:
        """One that the node holds."""
        info: BlobInfo = self._call("show", blob_id)
        return info

    def pin(self, blob_id: str, **options: Any) -> BlobInfo:
        """Keep one whatever happens, or no longer."""
        info: BlobInfo = self._call("pin", blob_id, **options)
        return info

    def remove(self, blob_id: str, **options: Any) -> str:
        """Forget one. Answers its id."""
        removed: str = self._call("remove", blob_id, **options)
        return removed
