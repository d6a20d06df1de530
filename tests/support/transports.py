"""Transports for tests: a recording handler and a way to make nodes of either kind."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from meshnode.transport.base import Channel, FrameStream, PeerId, Transport
from meshnode.transport.limits import TransportLimits
from meshnode.transport.memory import MemoryNetwork, MemoryTransport

DEADLINE_S = 60.0
DEFAULTS = TransportLimits()
PATIENT_MS = 60_000
"""For dials and handshakes of tests that are not about how long these may take: thirty of them at
once on a machine that has other things to do take longer than a node's limits allow for one."""


class Recorder:
    """A handler that writes down what it is told, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, PeerId]] = []
        self.reasons: dict[PeerId, str] = {}
        self.addresses: dict[PeerId, str] = {}
        self.frames: list[tuple[PeerId, Channel, bytes]] = []
        self.offences: list[tuple[PeerId, str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.serving: Callable[[FrameStream], Awaitable[None]] | None = None
        self._changed = asyncio.Event()

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        self.addresses[peer] = remote_address
        self._note("inbound" if inbound else "outbound", peer)

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        self.reasons[peer] = reason
        self._note("disconnected", peer)

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        await self.gate.wait()
        self.frames.extend((peer, channel, frame) for frame in frames)
        self._changed.set()

    async def serve(self, stream: FrameStream) -> None:
        assert self.serving is not None
        await self.serving(stream)

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        self.offences.append((peer, offence, detail))
        self._note("offended", peer)

    def payloads(self, channel: Channel) -> list[bytes]:
        return [frame for _, where, frame in self.frames if where is channel]

    def count(self, event: str) -> int:
        return sum(name == event for name, _ in self.events)

    @property
    def connections(self) -> int:
        return self.count("inbound") + self.count("outbound")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds; looked at whenever something was recorded."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _note(self, event: str, peer: PeerId) -> None:
        self.events.append((event, peer))
        self._changed.set()


@dataclass
class Peer:
    """A started transport and what it was told."""

    transport: Transport
    seen: Recorder

    @property
    def id(self) -> PeerId:
        return self.transport.peer_id

    async def dial(self, other: Peer) -> None:
        await self.transport.dial(other.id, other.transport.addresses)

    def send(self, other: Peer, channel: Channel, *frames: bytes) -> bool:
        return self.transport.send(other.id, channel, frames)


class Lab:
    """Makes peers of one kind and closes them all."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.network = MemoryNetwork()
        self.peers: list[Peer] = []

    def make(self, name: str, limits: TransportLimits | None = None) -> Transport:
        limits = _make_patient(limits or DEFAULTS)
        if self.kind == "memory":
            return MemoryTransport(self.network, PeerId(name), limits)
        from meshnode.transport.libp2p.transport import Libp2pTransport

        return Libp2pTransport(seed_of(name), limits=limits)

    async def start(self, name: str, limits: TransportLimits | None = None) -> Peer:
        peer = Peer(self.make(name, limits), Recorder())
        await peer.transport.start(peer.seen)
        self.peers.append(peer)
        return peer

    async def pair(self, limits: TransportLimits | None = None) -> tuple[Peer, Peer]:
        """Two connected peers: the first has dialled."""
        one, other = await self.start("one", limits), await self.start("other", limits)
        await one.dial(other)
        await connected(one, other)
        return one, other

    async def close(self) -> None:
        for peer in self.peers:
            await peer.transport.close()


def _make_patient(limits: TransportLimits) -> TransportLimits:
    dial_ms, handshake_ms = limits.dial_ms, limits.handshake_ms
    return replace(
        limits,
        dial_ms=PATIENT_MS if dial_ms == DEFAULTS.dial_ms else dial_ms,
        handshake_ms=PATIENT_MS if handshake_ms == DEFAULTS.handshake_ms else handshake_ms,
    )


async def connected(*peers: Peer) -> None:
    """Wait until every peer has heard of a connection to every other one."""
    for peer in peers:
        others = {other.id for other in peers if other is not peer}
        await peer.seen.until(_knows(peer.seen, others))


def _knows(seen: Recorder, others: set[PeerId]) -> Callable[[], bool]:
    return lambda: {who for _, who in seen.events} >= others


async def received(peer: Peer, count: int) -> None:
    """Let the loop turn until the transport has received that many frames."""
    async with asyncio.timeout(DEADLINE_S):
        while peer.transport.counters["frames_received"] < count:  # noqa: ASYNC110 - no callback
            await asyncio.sleep(0)


def seed_of(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def frames_of(size: int, count: int) -> Sequence[bytes]:
    return [index.to_bytes(4, "big") + bytes(size - 4) for index in range(count)]
