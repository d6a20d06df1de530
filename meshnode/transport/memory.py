"""A network inside one process: same promises as the real one, no sockets, no randomness.

Bytes travel through the real framing and credit; only encryption and the kernel are missing. What
happens depends on nothing but the order in which the event loop runs its callbacks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.base import Channel, PeerId
from meshnode.transport.session_transport import SessionTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.transport.base import TransportHandler
    from meshnode.transport.limits import TransportLimits
    from meshnode.transport.link import FrameLink
    from meshnode.transport.session import Session
    from meshnode.transport.stream import LinkStream

_ADDRESS_PREFIX = "memory:"


class MemoryNetwork:
    """Connects the `MemoryTransport`s of one event loop, and can cut them apart."""

    def __init__(self) -> None:
        self._transports: dict[PeerId, MemoryTransport] = {}
        self._cuts: dict[tuple[PeerId, PeerId], None] = {}

    def cut(self, one: PeerId, other: PeerId) -> None:
        """End the connection of two peers and let their dials fail until `heal`."""
        self._cuts[_pair(one, other)] = None
        transport = self._transports.get(one)
        if transport is not None:
            transport.lose(other)

    def heal(self, one: PeerId, other: PeerId) -> None:
        """Undo `cut`."""
        self._cuts.pop(_pair(one, other), None)

    def add(self, transport: MemoryTransport) -> None:
        """A transport listens."""
        if transport.peer_id in self._transports:
            raise TransportError(f"{transport.peer_id} listens already", hint="use another name")
        self._transports[transport.peer_id] = transport

    def remove(self, transport: MemoryTransport) -> None:
        """A transport has closed."""
        if self._transports.get(transport.peer_id) is transport:
            del self._transports[transport.peer_id]

    def find(self, dialler: PeerId, peer: PeerId) -> MemoryTransport:
        """The transport a dial reaches; raises `DialFailed`."""
        transport = self._transports.get(peer)
        if transport is None or _pair(dialler, peer) in self._cuts:
            raise DialFailed(f"{peer} does not answer", hint="is the peer running?")
        return transport


def _pair(one: PeerId, other: PeerId) -> tuple[PeerId, PeerId]:
    return (one, other) if one < other else (other, one)


class MemoryTransport(SessionTransport):
    """One node's view of a `MemoryNetwork`."""

    def __init__(
        self, network: MemoryNetwork, peer_id: PeerId, limits: TransportLimits | None = None
    ) -> None:
        super().__init__(peer_id, limits)
        self._network = network

    @property
    def addresses(self) -> tuple[str, ...]:
        """The one address of this node."""
        return (_ADDRESS_PREFIX + self._peer_id,)

    async def start(self, handler: TransportHandler) -> None:
        """Listen; raises `TransportError` when the name is taken."""
        self._network.add(self)
        self._begin(handler)

    async def dial(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """Connect to a peer; raises `DialFailed`. Does nothing when connected."""
        if self.is_connected(peer):
            return
        self._counters["dials"] += 1
        try:
            self._check_address(peer, addresses)
            await asyncio.sleep(0)  # as over a wire, others may run before the connection stands
            other = self._network.find(self._peer_id, peer)
        except DialFailed:
            self._counters["dials_failed"] += 1
            raise
        if not self.is_connected(peer):
            self._connect(other)

    def lose(self, peer: PeerId) -> None:
        """The connection to a peer breaks, as when a cable is pulled."""
        session = self._sessions.get(peer)
        if session is not None:
            session.lost("the connection broke")

    async def close(self) -> None:
        """End every connection and every task."""
        self._network.remove(self)
        await self._end("the node is closing")

    def _connect(self, other: MemoryTransport) -> None:
        near, far = _MemoryCarrier(), _MemoryCarrier()
        near.far, far.far = far, near
        near.session = self._new_session(
            near, peer=other.peer_id, inbound=False, address=other.addresses[0]
        )
        far.session = other._new_session(
            far, peer=self._peer_id, inbound=True, address=self.addresses[0]
        )
        for channel in Channel:
            _Pipe.join(near, near.session.links[channel], far.session.links[channel])
        self._admit(near.session)
        other._admit(far.session)

    def _check_address(self, peer: PeerId, addresses: Sequence[str]) -> None:
        if peer == self._peer_id or _ADDRESS_PREFIX + peer not in addresses:
            raise DialFailed(f"no usable address of {peer}", hint="addresses: memory:<peer id>")


class _MemoryCarrier:
    """One end of a connection in memory."""

    session: Session
    far: _MemoryCarrier

    def __init__(self) -> None:
        self._gone = False

    def abort(self) -> None:
        """End the connection; the far end notices on its own turn of the loop."""
        if not self._gone:
            self._gone = True
            asyncio.get_running_loop().call_soon(self.far.session.lost, "connection closed")

    async def open_stream(self) -> LinkStream:
        """A stream whose far end is being served."""
        await asyncio.sleep(0)
        near, far = self.new_stream(), self.far.new_stream()
        _Pipe.join(self, near.link, far.link)
        self.far.session.serve(far)
        return near

    def new_stream(self) -> LinkStream:
        """This end of a stream; resetting it is carried over by the pipe."""
        return self.session.new_stream(abort=_nothing)


def _nothing() -> None:
    """The pipe sees by itself that a link has ended."""


class _Pipe:
    """Carries one direction of a link, one write per turn of the loop."""

    def __init__(self, owner: _MemoryCarrier, near: FrameLink, far: FrameLink) -> None:
        self._owner = owner
        self._near = near
        self._far = far
        self._scheduled = False
        near.on_writable = self.wake

    @classmethod
    def join(cls, owner: _MemoryCarrier, near: FrameLink, far: FrameLink) -> None:
        """Connect two links in both directions."""
        cls(owner, near, far)
        cls(owner.far, far, near)

    def wake(self) -> None:
        """There is something to carry."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._carry)

    def _carry(self) -> None:
        self._scheduled = False
        if self._near.ended:
            self._far.end()
            return
        data = self._near.next_write()
        if not data:
            return
        self._owner.session.counters["bytes_sent"] += len(data)
        self._owner.far.session.counters["bytes_received"] += len(data)
        self._near.written()
        if not self._owner.far.session.feed(self._far, data):
            return
        if self._near.complete and self._far.complete:
            self._near.end()
        self.wake()
