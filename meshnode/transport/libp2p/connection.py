"""One authenticated libp2p connection: its channels, its streams and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio
from libp2p.exceptions import BaseLibp2pError

from meshnode.errors import Offence, StreamReset, TransportError
from meshnode.transport.base import Channel
from meshnode.transport.libp2p.frames import carry
from meshnode.transport.libp2p.host import NegotiationFailed, answer, propose
from meshnode.transport.libp2p.muxer import reset_stream
from meshnode.transport.libp2p.pace import Pace
from meshnode.transport.libp2p.relay_messages import HOP_PROTOCOL

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.guest import TrioGuest
    from meshnode.transport.libp2p.muxer import GuardedConnection
    from meshnode.transport.libp2p.relay_server import RelayServer
    from meshnode.transport.libp2p.stream_bytes import RelayedConnection
    from meshnode.transport.limits import TransportLimits
    from meshnode.transport.session import Session
    from meshnode.transport.stream import LinkStream

    ServeRaw = Callable[["Libp2pConnection", YamuxStream], Awaitable[None]]

CHANNEL_PROTOCOLS = {
    "/meshnode/1/control": Channel.CONTROL,
    "/meshnode/1/bulk": Channel.BULK,
    "/meshnode/1/rpc": Channel.RPC,
}
STREAM_PROTOCOL = "/meshnode/1/stream"
_PROTOCOLS = (*CHANNEL_PROTOCOLS, STREAM_PROTOCOL)
_NO_RAW: Mapping[str, ServeRaw] = MappingProxyType({})


class Libp2pConnection:
    """A connection from the end of its handshake to its end; it is its session's carrier."""

    def __init__(
        self,
        guest: TrioGuest,
        guard: GuardedConnection,
        *,
        peer: PeerId,
        inbound: bool,
        address: str,
        limits: TransportLimits,
        relay: RelayServer | None = None,
        relayed: RelayedConnection | None = None,
        raw: Mapping[str, ServeRaw] = _NO_RAW,
    ) -> None:
        """`relay` serves those who ask this node to relay; None where it does not.

        `relayed` is what lies below where the connection leads through a relay, `raw` serves streams
        of other protocols than the mesh's own. It may raise `TransportError`.
        """
        assert guard.muxer is not None, "the handshake has put a muxer on top"
        self.peer = peer
        self.inbound = inbound
        self.address = address
        self.session: Session | None = None
        self.guard = guard
        self.is_relayed = "/p2p-circuit" in address
        self.is_service = False
        """Whether the peer is here for the relay alone, and nobody's neighbour."""
        self.relayed = relayed
        self._relay = relay
        self._raw = raw
        self._guest = guest
        self._guard = guard
        self._muxer = guard.muxer
        self._limits = limits
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._channels: dict[Channel, YamuxStream] = {}
        self._channels_stand = trio.Event()
        self._failure = ""
        guard.on_offence = self._offend

    @property
    def has_ended(self) -> bool:
        """Whether the connection is gone."""
        return self._scope.cancel_called

    def abort(self) -> None:
        """End the connection at once. Harmless when it has ended."""
        self._scope.cancel()
        self._guard.cut()

    async def open_stream(self) -> LinkStream:
        """Open a stream beside the channels; called from asyncio."""
        opened: list[LinkStream] = []
        try:
            await self._guest.run(self._open_stream, opened)
        except asyncio.CancelledError:
            for stream in opened:
                stream.reset()
            raise
        return opened[0]

    async def run(self, admit: Callable[[Libp2pConnection], Session | None]) -> None:
        """Serve the connection until it ends.

        `admit` is called once, when the channels stand; it answers None when another connection
        to the peer is kept instead, or when it is for the relay alone. Raises `NegotiationFailed`
        when it does not come so far.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._cut_when_cancelled)
                    nursery.start_soon(self._run_muxer)
                    await self._muxer.event_started.wait()
                    nursery.start_soon(self._accept_streams)
                    await self._raise_channels()
                    self._serve(nursery, admit(self))
        finally:
            if self.session is not None:
                self.session.lost("connection closed")
        if self.session is None and self._failure and not self.is_service:
            raise NegotiationFailed(self._failure)

    async def _cut_when_cancelled(self) -> None:
        """Writes do not hear of a cancellation; closing the socket below them ends them."""
        try:
            await trio.sleep_forever()
        finally:
            self._guard.cut()

    def _serve(self, nursery: trio.Nursery, session: Session | None) -> None:
        if session is None:
            if not self.is_service:
                self.abort()
            return
        self.session = session
        for channel, stream in self._channels.items():
            nursery.start_soon(self._carry_channel, session, channel, stream)

    async def _carry_channel(self, session: Session, channel: Channel, stream: YamuxStream) -> None:
        link = session.links[channel]
        is_slow = self.is_relayed and channel is Channel.BULK
        pace = Pace(self._limits.relayed_bulk_bytes_per_s) if is_slow else None
        await carry(session, link, stream, self._guard, pace)
        if not link.complete:
            session.lost("connection closed")

    async def _run_muxer(self) -> None:
        try:
            await self._muxer.start()
        except Exception as error:  # noqa: BLE001 - no fault of the library ends more than this
            self._failure = f"the muxer failed: {type(error).__name__}"
        self._failure = self._failure or "the peer closed the connection"
        self.abort()

    async def _raise_channels(self) -> None:
        with trio.move_on_after(self._limits.handshake_ms / 1000) as deadline:
            if not self.inbound:
                async with trio.open_nursery() as nursery:
                    for protocol, channel in CHANNEL_PROTOCOLS.items():
                        nursery.start_soon(self._raise_channel, protocol, channel)
            await self._channels_stand.wait()
        if deadline.cancelled_caught:
            self._failure = "the peer did not bring up the channels in time"
            self.abort()
            await trio.lowlevel.checkpoint()

    async def _raise_channel(self, protocol: str, channel: Channel) -> None:
        try:
            stream = await self._muxer.open_stream()
            await propose(stream, protocol, self._limits.handshake_ms)
        except Exception:  # noqa: BLE001 - the library's errors on hostile input are not enumerable
            self._failure = self._failure or f"the peer does not speak {protocol}"
            self.abort()
            return
        self._add_channel(channel, stream)

    def _add_channel(self, channel: Channel, stream: YamuxStream) -> None:
        self._channels[channel] = stream
        if len(self._channels) == len(Channel):
            self._channels_stand.set()

    async def _accept_streams(self) -> None:
        assert self._nursery is not None
        try:
            while True:
                stream = await self._muxer.accept_stream()
                self._nursery.start_soon(self._negotiate, stream)
        except BaseLibp2pError:
            # Whoever notices first says it: one who leaves like this has not shaken hands.
            self._failure = self._failure or "the peer closed the connection"
            self.abort()

    async def _negotiate(self, stream: YamuxStream) -> None:
        """Find out what a stream of the peer is for; anything unknown or malformed is reset."""
        protocols = [*_PROTOCOLS, *self._raw]
        if self._relay is not None:
            protocols.append(HOP_PROTOCOL)
        try:
            protocol = await answer(stream, protocols, self._limits.handshake_ms)
        except Exception:  # noqa: BLE001 - the library's errors on hostile input are not enumerable
            if self.session is not None:
                self.session.counters["streams_refused"] += 1
            await self._refuse(stream)
            return
        channel = CHANNEL_PROTOCOLS.get(protocol)
        if channel is not None:
            if self.inbound and channel not in self._channels:
                self._add_channel(channel, stream)
            else:
                self._offend(Offence.BAD_STREAM, f"{protocol} opened out of turn")
        elif protocol == HOP_PROTOCOL:
            await self._serve_relay(stream)
        elif protocol in self._raw:
            try:
                await self._raw[protocol](self, stream)
            except TransportError:
                await self._refuse(stream)
        elif self.session is not None:
            await self._serve_stream(self.session, stream)
        else:
            await self._refuse(stream)

    async def _serve_relay(self, stream: YamuxStream) -> None:
        """Who asks for the relay before it brings up channels, is here for nothing else."""
        assert self._relay is not None
        if self.inbound and not self._channels:
            self.is_service = True
            self._channels_stand.set()
        try:
            await self._relay.serve(self, stream)
        except TransportError:
            await self._refuse(stream)
        if self.is_service and not self._relay.is_used_by(self):
            await trio.sleep(self._limits.hang_up_grace_ms / 1000)
            if not self._relay.is_used_by(self):
                self.abort()

    async def _serve_stream(self, session: Session, stream: YamuxStream) -> None:
        link_stream = session.new_stream(abort=_nothing)
        session.serve(link_stream)
        await carry(session, link_stream.link, stream, self._guard)

    async def _refuse(self, stream: YamuxStream) -> None:
        try:
            await reset_stream(stream)
        except BaseLibp2pError:
            self.abort()  # not even a reset can be written

    async def _open_stream(self, opened: list[LinkStream]) -> None:
        session, nursery = self.session, self._nursery
        assert session is not None
        assert nursery is not None
        stream = await self.open_raw(STREAM_PROTOCOL)
        if self._scope.cancel_called:
            raise StreamReset(f"the connection to {self.peer} has ended")
        link_stream = session.new_stream(abort=_nothing)
        nursery.start_soon(carry, session, link_stream.link, stream, self._guard)
        opened.append(link_stream)

    async def open_raw(self, protocol: str) -> YamuxStream:
        """A stream to the peer that speaks this protocol. Raises `StreamReset`."""
        if len(self._muxer.streams) >= self._limits.muxer_streams:
            raise StreamReset(f"{self._limits.muxer_streams} streams to {self.peer} are open")
        try:
            with trio.CancelScope(shield=True):  # cut off, it would leak a place in the muxer
                stream: YamuxStream = await self._muxer.open_stream()
        except BaseLibp2pError as error:
            raise StreamReset(f"the connection to {self.peer} is ending") from error
        try:
            await propose(stream, protocol, self._limits.handshake_ms)
        except BaseException as error:
            with trio.CancelScope(shield=True):
                await self._refuse(stream)
            if isinstance(error, Exception):
                raise StreamReset(f"{self.peer} refused the stream") from error
            raise
        return stream

    def _offend(self, offence: Offence, detail: str) -> None:
        if self.session is not None:
            self.session.offend(offence, detail)
        else:
            self._failure = f"{offence.value}: {detail}"
            self.abort()


def _nothing() -> None:
    """The carrying task sees by itself that a link has ended."""
