"""A connection to a relay, beside the mesh's own: for reservations and for circuits.

It carries no channels and is nobody's neighbour, so a large mesh neither counts it nor gives it up.
The one who dialled opens streams to the relay; the relay opens streams that hand connections over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio
from libp2p.exceptions import BaseLibp2pError

from meshnode.errors import Offence, TransportError
from meshnode.transport.libp2p.host import answer, propose
from meshnode.transport.libp2p.muxer import reset_stream
from meshnode.transport.libp2p.relay_messages import STOP_PROTOCOL, RelayRefused

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.muxer import GuardedConnection
    from meshnode.transport.limits import TransportLimits

    OnStop = Callable[["ServiceLink", YamuxStream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Observed:
    """Where a relay sees this node."""

    host: str
    port: int | None
    """That a router has given to the listening port; None where another port was dialled from."""


class ServiceLink:
    """One connection to one relay, from `run` to its end."""

    def __init__(
        self,
        guard: GuardedConnection,
        *,
        relay: PeerId,
        address: str,
        limits: TransportLimits,
        is_from_listening: bool,
        on_stop: OnStop,
    ) -> None:
        """`on_stop` serves a stream by which the relay hands a connection over.

        `is_from_listening` says whether it was dialled from the port that is listened on.
        """
        assert guard.muxer is not None, "the handshake has put a muxer on top"
        self.guard = guard
        self.relay = relay
        self.address = address
        self.is_from_listening = is_from_listening
        self.observed: Observed | None = None
        """None before the relay was asked."""
        self.users = 0
        """Circuits and requests that need it now."""
        self.reserved_until_s = 0.0
        self.has_ended = False
        self.started = trio.Event()
        """Streams can be opened, or it has ended before."""
        self._muxer = guard.muxer
        self._limits = limits
        self._on_stop = on_stop
        self._scope = trio.CancelScope()
        guard.on_offence = self._offend

    @property
    def is_needed(self) -> bool:
        """Whether anything depends on it."""
        return self.users > 0 or self.reserved_until_s > 0

    def abort(self) -> None:
        """End it at once. Harmless when it has ended."""
        self.has_ended = True
        self._scope.cancel()
        self.guard.cut()

    def _offend(self, _offence: Offence, _detail: str) -> None:
        self.abort()

    async def run(self) -> None:
        """Serve it until it ends."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._run_muxer)
                    await self._muxer.event_started.wait()
                    self.started.set()
                    await self._accept(nursery)
        finally:
            self.started.set()
            self.abort()

    async def _run_muxer(self) -> None:
        try:
            await self._muxer.start()
        except Exception:  # noqa: BLE001 - no fault of the library ends more than this
            self.has_ended = True
        self.abort()

    async def _accept(self, nursery: trio.Nursery) -> None:
        try:
            while True:
                stream = await self._muxer.accept_stream()
                nursery.start_soon(self._negotiate, stream)
        except BaseLibp2pError:
            self.abort()

    async def _negotiate(self, stream: YamuxStream) -> None:
        try:
            await answer(stream, [STOP_PROTOCOL], self._limits.handshake_ms)
        except Exception:  # noqa: BLE001 - the library's errors on hostile input are not enumerable
            await self.reset(stream)
            return
        await self._on_stop(self, stream)

    async def open_raw(self, protocol: str) -> YamuxStream:
        """A stream to the relay that speaks this protocol. Raises `RelayRefused`."""
        try:
            with trio.CancelScope(shield=True):  # cut off, it would leak a place in the muxer
                stream: YamuxStream = await self._muxer.open_stream()
        except BaseLibp2pError as error:
            raise RelayRefused("the connection to the relay is ending") from error
        try:
            await propose(stream, protocol, self._limits.handshake_ms)
        except BaseException as error:
            await self.reset(stream)
            if isinstance(error, Exception):
                raise RelayRefused("the peer is no relay") from error
            raise
        return stream

    async def reset(self, stream: YamuxStream) -> None:
        """Reset a stream; when the connection is gone, so is the stream."""
        with trio.CancelScope(shield=True), suppress(BaseLibp2pError, TransportError):
            await reset_stream(stream)
