"""Blobs of a node: its store, who gives them to peers, and who fetches them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.blobs.fetcher import BlobFetcher
from meshnode.blobs.server import BlobServer
from meshnode.blobs.store import open_store
from meshnode.node.blobs import Blobs

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from meshnode.node.lookup import Lookup
    from meshnode.node.port import RuntimePort
    from meshnode.node.streams import StreamRouter
    from meshnode.shell.runtime import Runtime

MIB: Final = 1024 * 1024


async def open_blobs(
    runtime: Runtime,
    port: RuntimePort,
    lookup: Lookup,
    router: StreamRouter,
    *,
    directory: Path,
    quota_bytes: int,
    stack: AsyncExitStack,
) -> Blobs:
    """Everything about blobs; closing the stack ends it. Raises `StorageError`."""
    store = await open_store(
        directory / "blobs", quota_bytes=quota_bytes, read_clock_ms=port.read_clock_ms
    )
    fetcher = BlobFetcher(store, port)
    stack.push_async_callback(fetcher.close)
    router.set_blobs(BlobServer(store, port))
    blobs = Blobs(runtime, lookup, store, fetcher)
    port.set_blobs(blobs)
    return blobs
