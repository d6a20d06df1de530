"""One-way throughput and CPU of the libp2p transport: two processes, 5 KB frames, loopback.

Run `python benchmarks/bench_transport.py [--json] [--frames N] [--size BYTES] [--dials N]`.

The sender keeps the bulk channel's queue filled; the clock runs from the first frame offered to
the receiver's acknowledgement of the last. CPU is user + system time of each process in that span,
measured by the process itself. Connecting is timed apart: each dial is a new connection.
"""

# ruff: noqa: ARG002, D102 - a handler implements a whole port
from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import sys
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from meshnode.transport.base import Channel, FrameStream, PeerId

FRAME_COUNT = 50_000
FRAME_BYTES = 5_000
DIAL_COUNT = 50


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass
class Sink:
    """A handler that counts frames."""

    expected: int
    count: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    started_cpu_s: float = 0.0

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None: ...

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        self.left.set()

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        if not self.count:
            self.started_cpu_s = cpu_s()
        self.count += len(frames)
        if self.count >= self.expected:
            self.done.set()

    async def serve(self, stream: FrameStream) -> None: ...

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None: ...


async def receive(pipe: Connection, frames: int) -> None:
    from meshnode.transport.libp2p.transport import Libp2pTransport

    sink = Sink(frames)
    transport = Libp2pTransport(b"r" * 32)
    await transport.start(sink)
    pipe.send((transport.peer_id, transport.addresses))
    await sink.done.wait()
    pipe.send(cpu_s() - sink.started_cpu_s)
    await asyncio.to_thread(pipe.recv)
    await transport.close()


def receiver(pipe: Connection, frames: int) -> None:
    asyncio.run(receive(pipe, frames))


async def send(pipe: Connection, frames: int, size: int, dials: int) -> dict[str, float]:
    from meshnode.transport.libp2p.transport import Libp2pTransport

    sink = Sink(1)
    transport = Libp2pTransport(b"s" * 32)
    await transport.start(sink)
    peer, addresses = await asyncio.to_thread(pipe.recv)
    connect_s = []
    for index in range(dials):
        sink.left.clear()
        begin = time.perf_counter()
        await transport.dial(peer, addresses)
        connect_s.append(time.perf_counter() - begin)
        if index < dials - 1:
            transport.hang_up(peer, reason="next")
            await sink.left.wait()
    frame = bytes(size)
    begin, begin_cpu = time.perf_counter(), cpu_s()
    for _ in range(frames):
        while not transport.send(peer, Channel.BULK, (frame,)):  # noqa: ASYNC110 - by its own port
            await asyncio.sleep(0.001)
    receiver_cpu_s = await asyncio.to_thread(pipe.recv)
    took_s, sender_cpu_s = time.perf_counter() - begin, cpu_s() - begin_cpu
    pipe.send(None)
    await transport.close()
    return {
        "frames": frames,
        "frame_bytes": size,
        "frames_per_s": frames / took_s,
        "send_cpu_us": sender_cpu_s / frames * 1e6,
        "receive_cpu_us": receiver_cpu_s / frames * 1e6,
        "connect_p50_ms": statistics.median(connect_s) * 1e3,
        "connect_max_ms": max(connect_s) * 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=FRAME_COUNT)
    parser.add_argument("--size", type=int, default=FRAME_BYTES)
    parser.add_argument("--dials", type=int, default=DIAL_COUNT)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=receiver, args=(far, options.frames))
    process.start()
    result = asyncio.run(send(near, options.frames, options.size, options.dials))
    process.join()
    if options.json:
        json.dump(result, sys.stdout)
        print()
        return
    print(
        f"{result['frames_per_s']:,.0f} frames/s of {result['frame_bytes']:,} B; CPU per frame"
        f" {result['send_cpu_us']:.1f} us to send, {result['receive_cpu_us']:.1f} us to receive;"
        f" connect p50 {result['connect_p50_ms']:.1f} ms, max {result['connect_max_ms']:.1f} ms"
    )


if __name__ == "__main__":
    main()
