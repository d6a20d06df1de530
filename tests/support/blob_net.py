"""Nodes that do nothing but hold and fetch blobs, over the real streams of the memory transport."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from meshnode.blobs.content import copy_bytes
from meshnode.blobs.fetcher import BlobFetcher
from meshnode.blobs.server import BlobServer
from meshnode.blobs.store import BlobStore, open_store
from meshnode.core.blob_plan import Patience
from meshnode.errors import InvalidMessage
from meshnode.serving.port import ServingPeer
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport
from tests.vectors.generate_blobs import make_content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATIENCE = Patience(patience_ms=1_500, hedge_ms=400)


@dataclass
class BlobNode:
    """A node as blobs see it: a memory transport, a folder, no core."""

    net: BlobNet
    name: str
    transport: MemoryTransport
    store: BlobStore
    offences: list[tuple[str, InvalidMessage]] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    hidden: bool = False
    """Whether others find it only when they dial it."""

    def __post_init__(self) -> None:
        self.author = hashlib.sha256(self.name.encode()).digest()
        self.server: Any = BlobServer(self.store, self)
        self.fetcher = BlobFetcher(self.store, self, PATIENCE)

    @property
    def peer(self) -> str:
        return str(self.transport.peer_id)

    def find_member(self, peer: str) -> bytes | None:
        node = self.net.by_peer.get(peer)
        return None if node is None or node.name.startswith("stranger") else node.author

    def list_serving_peers(self) -> list[ServingPeer]:
        return [self.net.describe(peer) for peer in self.ready]

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        for node in self.net.by_peer.values():
            if node.author == author:
                await self.net.connect(self, node)
                return self.net.describe(node.peer)
        return None

    async def open_stream(self, peer: str):
        return await self.transport.open_stream(PeerId(peer))

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        self.offences.append((self.net.by_peer[peer].name, error))

    def read_clock_ms(self) -> int:
        return int(time.monotonic() * 1_000) + 1_000_000

    # --- as a transport's handler ----------------------------------------------------------------

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        if not self.net.by_peer[str(peer)].hidden:
            self.ready.append(str(peer))

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        if str(peer) in self.ready:
            self.ready.remove(str(peer))

    async def deliver(self, peer: PeerId, channel: Any, frames: list[bytes]) -> None:
        raise AssertionError("blobs travel on streams")

    async def serve(self, stream) -> None:
        await self.server.serve(stream)

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        raise AssertionError(f"{peer}: {offence}: {detail}")

    # --- for tests -------------------------------------------------------------------------------

    async def put(self, content: bytes, **options: Any) -> bytes:
        """Hold this content; answers its id."""
        record = await self.store.put(copy_bytes(content), size_bytes=len(content), **options)
        return record.id

    async def read(self, blob_id: bytes) -> bytes:
        """The content of a whole blob."""
        file = await self.store.open(blob_id)
        try:
            chunks = [file.read(index) or b"" for index in range(file.manifest.chunks)]
        finally:
            file.close()
        return b"".join(chunks)


class BlobNet:
    """Nodes that know each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hub = MemoryNetwork()
        self.by_peer: dict[str, BlobNode] = {}

    async def add(self, name: str, *, quota_bytes: int = 1 << 30) -> BlobNode:
        """A further node, not connected to anybody."""
        store = await open_store(
            self._folder / name,
            quota_bytes=quota_bytes,
            read_clock_ms=lambda: int(time.time() * 1_000),
        )
        transport = MemoryTransport(self._hub, PeerId(f"peer-{name}"))
        node = BlobNode(self, name, transport, store)
        self.by_peer[node.peer] = node
        await transport.start(node)
        return node

    async def connect(self, node: BlobNode, *others: BlobNode) -> None:
        """Connect a node with others."""
        for other in others:
            await node.transport.dial(other.transport.peer_id, other.transport.addresses)

    def describe(self, peer: str) -> ServingPeer:
        node = self.by_peer[peer]
        return ServingPeer(peer=peer, author=node.author, name=node.name)

    async def close(self) -> None:
        for node in self.by_peer.values():
            await node.fetcher.close()
            await node.transport.close()


@asynccontextmanager
async def open_blob_net(folder: Path) -> AsyncIterator[BlobNet]:
    """A net that is gone at the end."""
    net = BlobNet(folder)
    try:
        yield net
    finally:
        await net.close()


async def wait_for(condition: Any, *, timeout_s: float = 30) -> None:
    """Until something holds; bounded."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # any state of running nodes
            await asyncio.sleep(0.005)


__all__ = ["BlobNet", "BlobNode", "make_content", "open_blob_net", "wait_for"]
