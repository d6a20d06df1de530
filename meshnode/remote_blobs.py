"""Blobs of a node in another process: `RemoteNode.blobs`, with the methods of `node.blobs`."""

from __future__ import annotations

import os
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from meshnode.blob_views import BlobInfo, BlobProgress, BlobShelf
from meshnode.errors import CommandRejected, MalformedMessage, StorageError
from meshnode.gateway.blob_port import PATIENCE_MS
from meshnode.gateway.problems import read_problem
from meshnode.views import VertexInfo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    OnProgress = Callable[[BlobProgress], None]

MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024
GRACE_MS: Final = 10_000
"""How much longer than the node's own patience to wait for its next word."""
CONTENT_TYPE: Final = "application/octet-stream"


class Requester(Protocol):
    """The connection to the node."""

    def __call__(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        total_ms: int | None = None,
        pause_s: float | None = None,
        accept: tuple[int, ...] = (200,),
        upload: AsyncIterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A request, and its answer while the block runs."""


class RemoteBlobs:
    """Content that is too large for a vertex."""

    def __init__(self, request: Requester) -> None:
        self._request = request

    async def put(
        self,
        content: bytes | Path,
        *,
        name: str = "",
        media_type: str = "",
        readers: Sequence[str] | None = None,
        pin: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> BlobInfo:
        """Keep content, or that of a file, and give it to members who ask for its id.

        `on_progress` is told how many bytes were sent, of how many.
        """
        if isinstance(content, Path):
            name, size_bytes = name or content.name, _measure(content)
            pieces = _read_pieces(content)
        else:
            size_bytes, pieces = len(content), _cut(content)
        if on_progress is not None:
            pieces = _count(pieces, size_bytes, on_progress)
        return await self.receive(
            pieces,
            size_bytes=size_bytes,
            name=name,
            media_type=media_type,
            readers=readers,
            pin=pin,
        )

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
        """As `put`, for content that comes piece by piece, and must have this size."""
        if any("," in reader for reader in readers or ()):
            raise CommandRejected("a reader has a comma in its name", hint="give its id")
        query = {
            "name": name,
            "media_type": media_type,
            "to": ",".join(readers or ()),
            "private": "true" if readers is not None and not readers else "false",
            "pin": "true" if pin else "false",
        }
        headers = {"Content-Type": CONTENT_TYPE, "Content-Length": str(size_bytes)}
        async with self._request(
            "POST", "/api/v1/blobs", query=query, upload=pieces, headers=headers
        ) as response:
            return BlobInfo.from_json(_decode(await response.read()))

    async def share(
        self,
        blob_id: str,
        *,
        title: str = "",
        media_type: str = "",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Say to the mesh that there is this blob, in a note that names it; it stays from now on."""
        body = {"title": title, "media_type": media_type, "knowledge": list(knowledge)}
        async with self._request("POST", f"{_make_path(blob_id)}/share", body) as response:
            return VertexInfo.from_json(_decode(await response.read()))

    async def get(self, blob_id: str, *, patience_ms: int = PATIENCE_MS) -> bytes:
        """The content, fetched where it is not here. Raises `CommandRejected` above 64 MiB."""
        content = bytearray()
        async with aclosing(self.open(blob_id, patience_ms=patience_ms)) as pieces:
            async for piece in pieces:
                content += piece
                if len(content) > MEMORY_BYTES_MAX:
                    raise CommandRejected(
                        f"blob {blob_id[:12]} has more than {MEMORY_BYTES_MAX} bytes",
                        hint="save it to a file, or read it in pieces with `open`",
                    )
        return bytes(content)

    async def save(
        self,
        blob_id: str,
        path: Path,
        *,
        patience_ms: int = PATIENCE_MS,
        on_progress: OnProgress | None = None,
    ) -> BlobInfo:
        """Write the content to a file, fetched where it is not here; whole, or not at all."""
        info = await self.fetch(blob_id, patience_ms=patience_ms, on_progress=on_progress)
        async with aclosing(self.open(info.id, patience_ms=patience_ms)) as pieces:
            await _write_file(path, pieces)
        return info

    async def open(
        self, blob_id: str, *, patience_ms: int = PATIENCE_MS
    ) -> AsyncGenerator[bytes, None]:
        """The content piece by piece, fetched where it is not here."""
        path = f"{_make_path(blob_id)}/content"
        query = {"patience_ms": str(patience_ms)}
        # While the node fetches, it says nothing: how long that takes depends on the size.
        async with self._request("GET", path, query=query) as response:
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                yield piece

    async def fetch(
        self,
        blob_id: str,
        *,
        patience_ms: int = PATIENCE_MS,
        on_progress: OnProgress | None = None,
    ) -> BlobInfo:
        """Have a blob at the node: from its author, or from any member that has it."""
        async with aclosing(self.follow(blob_id, patience_ms=patience_ms)) as steps:
            async for step in steps:
                if on_progress is not None:
                    on_progress(step)
                if step.blob is not None:
                    return step.blob
        raise MalformedMessage("the node ended a fetch without the blob")

    async def follow(
        self, blob_id: str, *, patience_ms: int = PATIENCE_MS
    ) -> AsyncGenerator[BlobProgress, None]:
        """As `fetch`, step by step; the last item holds the blob."""
        path, body = f"{_make_path(blob_id)}/fetch", {"patience_ms": patience_ms}
        pause_s = (patience_ms + GRACE_MS) / 1_000
        async with self._request("POST", path, body, pause_s=pause_s) as response:
            async for line in response.content:
                data = _decode(line)
                if isinstance(data, dict) and data.get("type") == "error":
                    raise read_problem(data)
                yield BlobProgress.from_json(data)

    async def list(self) -> BlobShelf:
        """What the node holds."""
        async with self._request("GET", "/api/v1/blobs") as response:
            return BlobShelf.from_json(_decode(await response.read()))

    async def show(self, blob_id: str) -> BlobInfo:
        """One that the node holds, by its id or the beginning of it."""
        async with self._request("GET", _make_path(blob_id)) as response:
            return BlobInfo.from_json(_decode(await response.read()))

    async def pin(self, blob_id: str, *, pinned: bool = True) -> BlobInfo:
        """Keep one whatever happens, or no longer."""
        body = {"pinned": pinned}
        async with self._request("POST", f"{_make_path(blob_id)}/pin", body) as response:
            return BlobInfo.from_json(_decode(await response.read()))

    async def remove(self, blob_id: str, *, force: bool = False) -> str:
        """Forget one; with `force` also what is pinned or named by own vertices. Answers its id."""
        query = {"force": "true" if force else "false"}
        async with self._request("DELETE", _make_path(blob_id), query=query) as response:
            data = _decode(await response.read())
        if not isinstance(data, dict) or not isinstance(data.get("id"), str):
            raise MalformedMessage("the node answered without the id of what it removed")
        return str(data["id"])


def _make_path(blob_id: str) -> str:
    if not blob_id.isalnum():
        raise MalformedMessage(f"{blob_id[:80]!r} is not a blob's id", hint="ids are hex")
    return f"/api/v1/blobs/{blob_id}"


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise MalformedMessage("the node's answer is not JSON") from None


def _measure(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise _explain(error, path) from None


async def _read_pieces(path: Path) -> AsyncIterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece
    except OSError as error:
        raise _explain(error, path) from None


async def _cut(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


async def _count(
    pieces: AsyncIterator[bytes], size_bytes: int, on_progress: Callable[[int, int], None]
) -> AsyncIterator[bytes]:
    sent = 0
    async for piece in pieces:
        yield piece
        sent += len(piece)
        on_progress(sent, size_bytes)


async def _write_file(path: Path, pieces: AsyncIterator[bytes]) -> None:
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                async for piece in pieces:
                    file.write(piece)
            os.replace(temporary, path)  # noqa: PTH105 - mkstemp names are strings
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108 - as above
            raise
    except OSError as error:
        raise _explain(error, path) from None


def _explain(error: OSError, path: Path) -> StorageError:
    return StorageError(f"{path}: {error.strerror}", hint="check the path and free space")
