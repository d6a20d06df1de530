"""Fetching a blob against copying the same bytes over a bare stream: time, CPU, and their ratio.

Run `python benchmarks/bench_blobs.py [--json] [--size-mib N] [--transport libp2p|memory] [--rounds N]`.

Both ends live in one process, so CPU covers sending and receiving. The bare copy sends frames as
large as a part of a chunk over a stream of the same transport and throws them away. The fetch reads,
checks and sends each chunk at the holder, checks it again and writes it to a file at the fetcher, and
ends with the file's fsync. The holder's own limit per peer is lifted. Rounds alternate, and medians
are printed.
"""

# ruff: noqa: ARG002, D102 - a handler implements a whole port
from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshnode.blobs.fetcher import BlobFetcher
from meshnode.blobs.protocol import PART_BYTES_MAX
from meshnode.blobs.server import BlobServer, ServeLimits
from meshnode.blobs.store import open_store
from meshnode.serving.port import ServingPeer
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport

if TYPE_CHECKING:
    from meshnode.errors import InvalidMessage
    from meshnode.transport.base import FrameStream, Transport

MIB = 1024 * 1024
COPY_FRAME = b"copy"


class Peer:
    """One end: a handler of its transport, and the node as blobs see it."""

    def __init__(self, transport: Transport, store: Any) -> None:
        self.transport = transport
        self.store = store
        self.author = str(transport.peer_id).encode().ljust(32, b"\0")[:32]
        self.others: list[ServingPeer] = []
        self.met = asyncio.Event()
        limits = ServeLimits(rate_bytes_s=1 << 40, burst_bytes=1 << 40)
        self.server = BlobServer(store, self, limits)
        self.fetcher = BlobFetcher(store, self)
        self.copy_bytes = 0

    def find_member(self, peer: str) -> bytes | None:
        return peer.encode().ljust(32, b"\0")[:32]

    def list_serving_peers(self) -> list[ServingPeer]:
        return self.others

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        return None

    async def open_stream(self, peer: str) -> FrameStream:
        return await self.transport.open_stream(PeerId(peer))

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        raise error

    def read_clock_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        self.others.append(ServingPeer(peer=peer, author=b"", name=""))
        self.met.set()

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        self.others.clear()

    async def deliver(self, peer: PeerId, channel: Any, frames: list[bytes]) -> None:
        raise AssertionError("blobs travel on streams")

    async def serve(self, stream: FrameStream) -> None:
        if not self.copy_bytes:
            await self.server.serve(stream)
            return
        await stream.receive()
        part = bytes(PART_BYTES_MAX)
        for _ in range(-(-self.copy_bytes // PART_BYTES_MAX)):
            await stream.send(part)
        await stream.finish()
        await stream.receive()

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        raise AssertionError(f"{offence}: {detail}")


async def copy(holder: Peer, fetcher: Peer, size_bytes: int) -> None:
    """The same bytes over a bare stream."""
    holder.copy_bytes = size_bytes
    stream = await fetcher.open_stream(str(holder.transport.peer_id))
    await stream.send(COPY_FRAME)
    received = 0
    while (frame := await stream.receive()) is not None:
        received += len(frame)
    assert received >= size_bytes, "all of it came"
    stream.reset()
    holder.copy_bytes = 0


def make_transports(kind: str) -> list[Transport]:
    """Two transports of one kind."""
    if kind == "memory":
        hub = MemoryNetwork()
        return [MemoryTransport(hub, PeerId(name)) for name in ("holder", "fetcher")]
    from meshnode.transport.libp2p.transport import Libp2pTransport

    return [Libp2pTransport(seed * 32) for seed in (b"h", b"f")]


async def measure(kind: str, size_bytes: int, rounds: int) -> dict[str, Any]:
    """Medians of both ways."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = []
        for number, transport in enumerate(make_transports(kind)):
            store = await open_store(
                folder / str(number),
                quota_bytes=1 << 40,
                read_clock_ms=lambda: time.time_ns() // 1_000_000,
            )
            peer = Peer(transport, store)
            await transport.start(peer)
            stack.push_async_callback(transport.close)
            stack.push_async_callback(peer.fetcher.close)
            peers.append(peer)
        holder, fetcher = peers
        await fetcher.transport.dial(holder.transport.peer_id, holder.transport.addresses)
        await holder.met.wait()
        times: dict[str, list[float]] = {name: [] for name in ("copy_s", "fetch_s")}
        used: dict[str, list[float]] = {name: [] for name in ("copy_cpu_s", "fetch_cpu_s")}
        for _ in range(rounds):
            content = os.urandom(size_bytes)
            record = await holder.store.put(
                lambda file, content=content: file.write(content), size_bytes=size_bytes
            )
            for name, work in (
                ("copy", lambda: copy(holder, fetcher, size_bytes)),
                ("fetch", lambda record=record: fetcher.fetcher.fetch(record.id)),
            ):
                began, began_cpu = time.perf_counter(), time.process_time()
                await work()
                times[f"{name}_s"].append(time.perf_counter() - began)
                used[f"{name}_cpu_s"].append(time.process_time() - began_cpu)
        medians = {name: statistics.median(each) for name, each in {**times, **used}.items()}
    return {
        "transport": kind,
        "size_mib": size_bytes // MIB,
        "rounds": rounds,
        **{name: round(value, 3) for name, value in medians.items()},
        "throughput_ratio": round(medians["copy_s"] / medians["fetch_s"], 3),
        "cpu_ratio": round(medians["fetch_cpu_s"] / medians["copy_cpu_s"], 3),
        "fetch_mib_s": round(size_bytes / MIB / medians["fetch_s"], 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size-mib", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transport", choices=("libp2p", "memory"), default="libp2p")
    options = parser.parse_args()
    report = asyncio.run(measure(options.transport, options.size_mib * MIB, options.rounds))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, value in report.items():
            print(f"{name:<18}{value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
