"""Connections through relays, seen from their ends: reserving, dialling, being dialled.

A reservation keeps a connection to its relay and is renewed by whoever asked for it. What a relay
hands over is taken only while there is a reservation with it, and is a connection like any other:
both ends prove their keys through the relay, which sees neither keys nor content.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio
from libp2p.relay.circuit_v2.pb.circuit_pb2 import HopMessage, StopMessage

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.identify import IDENTIFY_PROTOCOL, read_observed
from meshnode.transport.libp2p.relay_messages import (
    HOP_PROTOCOL,
    OK,
    PERMISSION_DENIED,
    RelayRefused,
    check_status,
    make_peer,
    make_stop_status,
    read_message,
    read_seen_host,
    write_message,
)
from meshnode.transport.libp2p.service_link import Observed, ServiceLink
from meshnode.transport.libp2p.stream_bytes import RelayedConnection, StreamBytes

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.libp2p.dialer import Dialled
    from meshnode.transport.limits import TransportLimits

    DialRelay = Callable[[PeerId, tuple[str, ...]], Awaitable[Dialled]]
    OnInbound = Callable[[RelayedConnection], Awaitable[None]]

RESERVATIONS_MAX = 4
LINKS_MAX = 16


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place at a relay."""

    relay: PeerId
    address: str
    """Of the relay, as it was dialled."""
    expires_s: int
    """Unix time."""
    circuit_ms: int
    circuit_bytes: int


class Circuits:
    """The relays this node is connected to, and what goes through them."""

    def __init__(
        self, limits: TransportLimits, dial_relay: DialRelay, on_inbound: OnInbound
    ) -> None:
        """`on_inbound` runs a connection that a peer began, to its end."""
        self._limits = limits
        self._dial_relay = dial_relay
        self._on_inbound = on_inbound
        self._links: dict[PeerId, ServiceLink] = {}
        self._opening: dict[PeerId, trio.Lock] = {}
        self.nursery: trio.Nursery | None = None
        """Where connections to relays live; set while the transport runs."""

    @property
    def reserved(self) -> tuple[PeerId, ...]:
        """Relays at which this node can be reached now."""
        now_s = time.time()
        return tuple(
            relay
            for relay, link in self._links.items()
            if link.reserved_until_s > now_s and not link.has_ended
        )

    async def reserve(self, relay: PeerId, addresses: tuple[str, ...]) -> Reservation:
        """Take or renew a place at a relay. Raises `TransportError`."""
        if relay not in self._links and len(self.reserved) >= RESERVATIONS_MAX:
            raise RelayRefused(f"there are {RESERVATIONS_MAX} reservations already")
        link = await self._acquire(relay, addresses)
        try:
            request = HopMessage(type=HopMessage.RESERVE)
            stream = await link.open_raw(HOP_PROTOCOL)
            try:
                await write_message(stream, request)
                reply = await read_message(stream, HopMessage, self._limits.handshake_ms)
            finally:
                await link.reset(stream)
            check_status(reply, HopMessage)
            link.reserved_until_s = float(reply.reservation.expire)
        finally:
            self._let_go(link)
        return Reservation(
            relay,
            link.address,
            int(reply.reservation.expire),
            int(reply.limit.duration) * 1000,
            int(reply.limit.data),
        )

    def release(self, relay: PeerId) -> None:
        """Give a reservation back."""
        link = self._links.get(relay)
        if link is not None:
            link.reserved_until_s = 0.0
            self._drop_unneeded(link)

    async def open(self, relay: PeerId, address: str, target: PeerId) -> RelayedConnection:
        """A connection to a peer through a relay, not yet secured. Raises `TransportError`.

        Whoever gets it releases it at its end.
        """
        link = await self._acquire(relay, (address,))
        try:
            stream = await link.open_raw(HOP_PROTOCOL)
            try:
                request = HopMessage(type=HopMessage.CONNECT, peer=make_peer(target))
                await write_message(stream, request)
                reply = await read_message(stream, HopMessage, self._limits.dial_ms)
                check_status(reply, HopMessage)
            except BaseException:
                await link.reset(stream)
                raise
        except BaseException:
            self._let_go(link)
            raise
        connection = RelayedConnection(
            StreamBytes(stream, link.guard),
            is_initiator=True,
            relay=relay,
            relay_address=link.address,
            relay_host=link.guard.remote_host,
            seen_host=read_seen_host(reply),
        )
        connection.on_release = partial(self._let_go, link)
        return connection

    async def find_observed(self, relay: PeerId) -> Observed:
        """Where a relay in use sees this node. Raises `TransportError`.

        Asked once of a connection: what it was mapped to holds as long as it stands.
        """
        link = self._links.get(relay)
        if link is None:
            raise RelayRefused("the connection to the relay is gone")
        if link.observed is None:
            stream = await link.open_raw(IDENTIFY_PROTOCOL)
            try:
                address = await read_observed(stream, self._limits.handshake_ms)
            finally:
                await link.reset(stream)
            link.observed = Observed(address.host, address.port if link.is_from_listening else None)
        return link.observed

    async def _acquire(self, relay: PeerId, addresses: tuple[str, ...]) -> ServiceLink:
        """A connection to a relay, dialled where there is none; it stays until `_let_go`."""
        lock = self._opening.setdefault(relay, trio.Lock())
        try:
            async with lock:
                link = self._links.get(relay)
                if link is None or link.has_ended:
                    link = await self._connect(relay, addresses)
                link.users += 1
                return link
        finally:
            if not lock.locked():
                self._opening.pop(relay, None)

    async def _connect(self, relay: PeerId, addresses: tuple[str, ...]) -> ServiceLink:
        if self.nursery is None:
            raise RelayRefused("the transport is not running")
        if len(self._links) >= LINKS_MAX:
            raise RelayRefused(f"{LINKS_MAX} relays are in use already")
        dialled = await self._dial_relay(relay, addresses)
        link = ServiceLink(
            dialled.guard,
            relay=relay,
            address=dialled.address,
            limits=self._limits,
            is_from_listening=dialled.is_from_listening,
            on_stop=self._take_over,
        )
        self._links[relay] = link
        self.nursery.start_soon(self._run, link)
        await link.started.wait()
        return link

    async def _run(self, link: ServiceLink) -> None:
        try:
            await link.run()
        finally:
            if self._links.get(link.relay) is link:
                del self._links[link.relay]

    def _let_go(self, link: ServiceLink) -> None:
        link.users -= 1
        self._drop_unneeded(link)

    @staticmethod
    def _drop_unneeded(link: ServiceLink) -> None:
        if not link.is_needed:
            link.abort()

    async def _take_over(self, link: ServiceLink, stream: YamuxStream) -> None:
        """The relay hands a connection over: run it to its end."""
        connection: RelayedConnection | None = None
        try:
            message = await read_message(stream, StopMessage, self._limits.handshake_ms)
            if message.type != StopMessage.CONNECT or link.reserved_until_s <= time.time():
                await write_message(stream, make_stop_status(PERMISSION_DENIED))
                return
            await write_message(stream, make_stop_status(OK))
            connection = RelayedConnection(
                StreamBytes(stream, link.guard),
                is_initiator=False,
                relay=link.relay,
                relay_address=link.address,
                relay_host=link.guard.remote_host,
                seen_host=read_seen_host(message),
            )
            await self._on_inbound(connection)
        except TransportError:
            pass  # the relay, or who is behind it, went away
        finally:
            if connection is None:
                await link.reset(stream)
            else:
                await connection.release()
