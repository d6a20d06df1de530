"""Reading and writing whole blobs, in a thread."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from meshnode.blobs.files import explain
from meshnode.errors import CommandRejected, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from meshnode.blobs.files import ChunkFile

_OVERLAP_BYTES: Final = 512
"""What is looked for in a text and lies across two chunks is found, too."""


def copy_bytes(content: bytes) -> Callable[[BinaryIO], None]:
    """For `BlobStore.put`: content that is there as a whole."""

    def fill(file: BinaryIO) -> None:
        file.write(content)

    return fill


async def write_pieces(path: Path, pieces: AsyncIterator[bytes], *, size_bytes: int) -> None:
    """Write a new file of this size. Raises `CommandRejected` where pieces make another."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            left = size_bytes
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise explain(error, path) from None
    if left:
        raise CommandRejected(
            f"the content has not the {size_bytes} bytes that were said", hint="send it whole"
        )


def measure(path: Path) -> int:
    """The size of a file. Raises `StorageError`."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise explain(error, path) from None


def read_overlapping(file: ChunkFile) -> Iterator[str]:
    """The content as texts that overlap, so that nothing short lies across an edge."""
    tail = b""
    for index in range(file.manifest.chunks):
        data = file.read(index)
        if data is None:
            raise make_damaged(file)
        yield (tail + data).decode(errors="replace")
        tail = data[-_OVERLAP_BYTES:]


def write_chunks(file: ChunkFile, path: Path) -> None:
    """Write all content to another file. Raises `StorageError`."""
    try:
        with path.open("wb") as target:
            for index in range(file.manifest.chunks):
                data = file.read(index)
                if data is None:
                    raise make_damaged(file)
                target.write(data)
    except OSError as error:
        raise explain(error, path) from None


def make_damaged(file: ChunkFile) -> StorageError:
    """A chunk is not what was written."""
    return StorageError(f"{file.path} does not read as it was written", hint="fetch the blob again")
