"""A relay for members: circuit relay v2, the side in the middle.

Who may use it is asked of the node, by the id that the connection proved: never by an id that a
message names. Whoever has a place here (a reservation) can be reached through it; a circuit is two
streams joined, each half paced, all of it bounded in bytes and time. What passes is encrypted
between its ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, StopMessage

from meshnode.errors import TransportError
from meshnode.transport.libp2p.pace import Pace
from meshnode.transport.libp2p.relay_messages import (
    CONNECTION_FAILED,
    MALFORMED_MESSAGE,
    NO_RESERVATION,
    OK,
    PERMISSION_DENIED,
    RESERVATION_REFUSED,
    RESOURCE_LIMIT_EXCEEDED,
    STOP_PROTOCOL,
    check_status,
    make_hop_status,
    make_limit,
    make_peer,
    make_reservation,
    read_message,
    read_peer,
    write_message,
)
from meshnode.transport.libp2p.stream_bytes import PIECE_BYTES, StreamBytes

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.muxer import GuardedConnection
    from meshnode.transport.limits import RelayLimits

CHECK_S: Final = 5.0
"""How often it is looked whether both ends of a circuit are members still."""


class Client(Protocol):
    """A connection of somebody who asks this relay for something."""

    @property
    def peer(self) -> PeerId:
        """Who it is, as the connection proved."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def guard(self) -> GuardedConnection:
        """The connection below its streams."""

    @property
    def is_relayed(self) -> bool:
        """Whether it came through another relay."""

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""

    async def open_raw(self, protocol: str) -> YamuxStream:
        """A stream to the peer that speaks this protocol. Raises `TransportError`."""


@dataclass(slots=True, eq=False)
class _Place:
    client: Client
    expires_s: float


@dataclass(slots=True, eq=False)
class _Budget:
    """Of one circuit, both directions together."""

    left_bytes: int
    pace: Pace


class RelayServer:
    """Reservations and circuits of one relay."""

    def __init__(
        self,
        may_use: Callable[[PeerId], bool],
        limits: RelayLimits,
        counters: dict[str, int],
        timeout_ms: int,
    ) -> None:
        self._may_use = may_use
        self._limits = limits
        self._counters = counters
        self._timeout_ms = timeout_ms
        self._places: dict[PeerId, _Place] = {}
        self._circuits: dict[PeerId, int] = {}
        """By peer, how many circuits it is an end of."""

    @property
    def reservations(self) -> int:
        """Places taken by somebody who is there."""
        self._sweep()
        return len(self._places)

    @property
    def circuits(self) -> int:
        """Connections that pass through now."""
        return sum(self._circuits.values()) // 2

    def is_used_by(self, client: Client) -> bool:
        """Whether a connection holds a place here, or is an end of a circuit."""
        place = self._places.get(client.peer)
        return (place is not None and place.client is client) or client.peer in self._circuits

    async def serve(self, client: Client, stream: YamuxStream) -> None:
        """Answer one request. Raises `TransportError`; the caller resets the stream."""
        message = await read_message(stream, HopMessage, self._timeout_ms)
        if client.is_relayed or not self._may_use(client.peer):
            await self._refuse(stream, PERMISSION_DENIED)
        elif message.type == HopMessage.RESERVE:
            await self._reserve(client, stream)
        elif message.type == HopMessage.CONNECT:
            await self._connect(client, stream, message)
        else:
            await self._refuse(stream, MALFORMED_MESSAGE)

    async def _refuse(self, stream: YamuxStream, status: int) -> None:
        self._counters["relay_refused"] += 1
        await write_message(stream, make_hop_status(status))
        await stream.close()

    def _sweep(self) -> None:
        now_s = time.time()
        for peer, place in list(self._places.items()):
            if place.client.has_ended or place.expires_s <= now_s:
                del self._places[peer]

    async def _reserve(self, client: Client, stream: YamuxStream) -> None:
        self._sweep()
        if client.peer not in self._places and len(self._places) >= self._limits.reservations:
            await self._refuse(stream, RESERVATION_REFUSED)
            return
        expires_s = time.time() + self._limits.reservation_ms / 1000
        self._places[client.peer] = _Place(client, expires_s)
        self._counters["relay_reservations"] += 1
        limit = make_limit(self._limits.circuit_ms, self._limits.circuit_bytes)
        reservation = make_reservation(int(expires_s))
        await write_message(stream, make_hop_status(OK, reservation=reservation, limit=limit))
        await stream.close()

    async def _connect(self, client: Client, stream: YamuxStream, message: Any) -> None:
        target = read_peer(message)
        self._sweep()
        place = self._places.get(target)
        if target == client.peer or not self._may_use(target):
            await self._refuse(stream, PERMISSION_DENIED)
        elif place is None:
            await self._refuse(stream, NO_RESERVATION)
        elif not self._has_room(client.peer, target):
            await self._refuse(stream, RESOURCE_LIMIT_EXCEEDED)
        else:
            self._count(client.peer, target, 1)
            try:
                await self._join(client, stream, place.client)
            finally:
                self._count(client.peer, target, -1)

    def _has_room(self, *ends: PeerId) -> bool:
        per_peer = self._limits.circuits_per_peer
        return self.circuits < self._limits.circuits and all(
            self._circuits.get(end, 0) < per_peer for end in ends
        )

    def _count(self, one: PeerId, other: PeerId, change: int) -> None:
        for peer in (one, other):
            count = self._circuits.pop(peer, 0) + change
            if count:
                self._circuits[peer] = count

    async def _join(self, client: Client, stream: YamuxStream, target: Client) -> None:
        try:
            onward = await self._knock(client, target)
        except TransportError:
            await self._refuse(stream, CONNECTION_FAILED)
            return
        ends = StreamBytes(stream, client.guard), StreamBytes(onward, target.guard)
        try:
            limit = make_limit(self._limits.circuit_ms, self._limits.circuit_bytes)
            seen = make_peer(target.peer, target.address)
            await write_message(stream, make_hop_status(OK, limit=limit, peer=seen))
            self._counters["relay_circuits"] += 1
            await self._carry(client.peer, target.peer, *ends)
        finally:
            for end in ends:
                await end.release()

    async def _knock(self, client: Client, target: Client) -> YamuxStream:
        """Ask the target whether it takes the connection. Raises `TransportError`."""
        onward = await target.open_raw(STOP_PROTOCOL)
        try:
            limit = make_limit(self._limits.circuit_ms, self._limits.circuit_bytes)
            request = StopMessage(
                type=StopMessage.CONNECT,
                peer=make_peer(client.peer, client.address),
                limit=limit,
            )
            await write_message(onward, request)
            check_status(await read_message(onward, StopMessage, self._timeout_ms), StopMessage)
        except BaseException:
            await StreamBytes(onward, target.guard).release()
            raise
        return onward

    async def _carry(
        self, one_peer: PeerId, other_peer: PeerId, one: StreamBytes, other: StreamBytes
    ) -> None:
        budget = _Budget(self._limits.circuit_bytes, Pace(self._limits.bytes_per_s))
        with trio.move_on_after(self._limits.circuit_ms / 1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, one, other, budget, nursery.cancel_scope)
                nursery.start_soon(self._pump, other, one, budget, nursery.cancel_scope)
                while self._may_use(one_peer) and self._may_use(other_peer):  # noqa: ASYNC110
                    await trio.sleep(CHECK_S)  # membership tells nobody when it ends
                nursery.cancel_scope.cancel()

    async def _pump(
        self, source: StreamBytes, sink: StreamBytes, budget: _Budget, scope: trio.CancelScope
    ) -> None:
        try:
            while data := await source.read(PIECE_BYTES):
                budget.left_bytes -= len(data)
                if budget.left_bytes < 0:
                    break
                self._counters["relay_bytes"] += len(data)
                await trio.sleep(budget.pace.spend(trio.current_time(), len(data)))
                await sink.write(data)
        except ConnectionClosedError:
            pass  # one end is gone: so is the circuit
        scope.cancel()
