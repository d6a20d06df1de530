"""A direct connection between two peers that met over a relay and are behind routers: DCUtR over TCP.

Both dial each other at the same moment, from the ports they listen on, so that each one's router has
seen a packet go out before the other one's comes in; TCP makes one connection of the two dials. Who
has begun the exchange is the server of what is spoken above, and the other one its client, whichever
of the dials came through. Where it fails, the relayed connection stands as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from meshnode.errors import TransportError
from meshnode.transport.libp2p.dcutr import (
    DCUTR_PROTOCOL,
    PunchFailed,
    Target,
    pick_targets,
    read_connect,
    read_sync,
    send_connect,
    send_sync,
)
from meshnode.transport.libp2p.muxer import reset_stream

if TYPE_CHECKING:
    import socket

    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.connection import Libp2pConnection
    from meshnode.transport.libp2p.dialer import Dialer, Dialled
    from meshnode.transport.libp2p.listening import ListenPorts
    from meshnode.transport.libp2p.service_link import Observed

    FindObserved = Callable[[PeerId], Awaitable[Observed]]
    DialTargets = Callable[[PeerId, Sequence[Target]], Awaitable[None]]
    Welcome = Callable[[trio.SocketStream, PeerId], None]

TRIES_MAX: Final = 3
"""Of one exchange, as the specification has it."""
DIAL_S: Final = 5.0
"""The initiator waits so long for a direct connection."""
DIAL_BACK_S: Final = 4.0
"""The responder gives up earlier, so that it listens when the initiator begins again."""
REPLY_MS: Final = 10_000
HALF_TRIP_MAX_S: Final = 2.0
CONNECTS_MAX: Final = 3
"""To one address in one try: a router that refuses instead of keeping silent is asked again."""
REFUSED_PAUSE_S: Final = 0.2
AT_ONCE_MAX: Final = 4
SERVED_AGAIN_S: Final = 30.0
"""One peer has this node dial no more often, however it ended."""
SERVED_MAX: Final = 256


class HolePuncher:
    """Both sides of the exchange, for one node."""

    def __init__(
        self,
        ports: ListenPorts,
        dialer: Dialer,
        counters: dict[str, int],
        *,
        may_punch: Callable[[PeerId], bool],
        find_observed: FindObserved,
        dial: DialTargets,
        welcome: Welcome,
    ) -> None:
        """`dial` has a connection made by `meet` stand; `welcome` takes one in like an inbound one.

        `may_punch` says whether a peer takes part in the mesh: nobody else is answered.
        """
        self._ports = ports
        self._dialer = dialer
        self._counters = counters
        self._may_punch = may_punch
        self._find_observed = find_observed
        self._dial = dial
        self._welcome = welcome
        self._busy: dict[PeerId, None] = {}
        self._direct: dict[PeerId, trio.Event] = {}
        self._served_s: dict[PeerId, float] = {}
        self._expected: dict[Target, trio.MemorySendChannel[trio.SocketStream]] = {}

    def stood(self, peer: PeerId) -> None:
        """A direct connection to a peer stands, whoever made it."""
        direct = self._direct.get(peer)
        if direct is not None:
            direct.set()

    def take(self, stream: trio.SocketStream) -> bool:
        """Whether a connection that was accepted is one that `meet` waits for."""
        host, port = stream.socket.getpeername()[:2]
        waiting = self._expected.get(Target(str(host), int(port)))
        if waiting is None:
            return False
        kept = trio.SocketStream(stream.socket.dup())  # the accepted one ends with its acceptor
        try:
            waiting.send_nowait(kept)
        except trio.WouldBlock:
            kept.socket.close()
            return False
        return True

    # --- the one who begins ---------------------------------------------------------------------

    async def punch(self, connection: Libp2pConnection) -> int:
        """Try for a direct connection to the other end of a relayed one; how many tries it took.

        Raises `PunchFailed`.
        """
        peer = connection.peer
        self._enter(peer)
        direct = self._direct[peer] = trio.Event()
        self._counters["punches"] += 1
        try:
            tries = await self._exchange(connection, direct)
        except TransportError as error:
            if not direct.is_set():
                self._counters["punches_failed"] += 1
                raise PunchFailed(error.message) from error
            tries = TRIES_MAX  # the relayed connection ended because the direct one stands
        finally:
            del self._busy[peer], self._direct[peer]
        return tries

    async def _exchange(self, connection: Libp2pConnection, direct: trio.Event) -> int:
        own = await self._find_own(connection)
        stream = await connection.open_raw(DCUTR_PROTOCOL)
        try:
            for number in range(TRIES_MAX):
                began_s = trio.current_time()
                await send_connect(stream, own)
                named = await read_connect(stream, REPLY_MS)
                half_trip_s = (trio.current_time() - began_s) / 2
                targets = _check(connection, named)
                await send_sync(stream)
                await trio.sleep(min(half_trip_s, HALF_TRIP_MAX_S))
                if await self._open(connection.peer, targets, direct):
                    return number + 1
        finally:
            await _let_go(stream)
        raise PunchFailed(f"nothing came through in {TRIES_MAX} tries")

    async def _open(self, peer: PeerId, targets: Sequence[Target], direct: trio.Event) -> bool:
        """Dial everywhere, until some connection stands: one of these, or one that came in."""
        with trio.move_on_after(DIAL_S):
            async with trio.open_nursery() as nursery:
                for target in targets:
                    nursery.start_soon(self._connect, target, self._make_welcome(peer))
                await direct.wait()
                nursery.cancel_scope.cancel()
        return direct.is_set()

    def _make_welcome(self, peer: PeerId) -> Callable[[trio.SocketStream], None]:
        return lambda stream: self._welcome(stream, peer)

    # --- the one who answers --------------------------------------------------------------------

    async def serve(self, connection: Libp2pConnection, stream: YamuxStream) -> None:
        """Answer a peer that this node has reached through a relay. Raises `TransportError`."""
        peer = connection.peer
        if connection.session is None or connection.inbound or not self._may_punch(peer):
            raise PunchFailed("not a peer to meet")
        now_s = trio.current_time()
        if now_s - self._served_s.get(peer, -SERVED_AGAIN_S) < SERVED_AGAIN_S:
            raise PunchFailed("asked too often")
        self._enter(peer)
        self._served_s.pop(peer, None)
        self._served_s[peer] = now_s
        while len(self._served_s) > SERVED_MAX:
            del self._served_s[next(iter(self._served_s))]
        try:
            for _ in range(TRIES_MAX):
                if await self._answer(connection, stream):
                    return
        finally:
            del self._busy[peer]
            await _let_go(stream)

    async def _answer(self, connection: Libp2pConnection, stream: YamuxStream) -> bool:
        named = await read_connect(stream, REPLY_MS)
        await send_connect(stream, await self._find_own(connection))
        targets = _check(connection, named)
        await read_sync(stream, REPLY_MS)
        try:
            await self._dial(connection.peer, targets)
        except TransportError:
            return False  # the peer says whether it goes on
        return True

    async def meet(self, peer: PeerId, targets: Sequence[Target]) -> Dialled:
        """Dial everywhere from the listening port: the first connection that proves the peer's key.

        Raises `PunchFailed` where none came.
        """
        found: list[Dialled] = []
        with trio.move_on_after(DIAL_BACK_S):
            async with trio.open_nursery() as nursery:
                for target in targets:
                    nursery.start_soon(self._meet_at, peer, target, found, nursery.cancel_scope)
                await trio.sleep_forever()
        if not found:
            raise PunchFailed("nothing came through in time")
        return found[0]

    async def _meet_at(
        self, peer: PeerId, target: Target, found: list[Dialled], scope: trio.CancelScope
    ) -> None:
        """Where the peer's dial is first, it is accepted before this node's own has begun."""
        send, receive = trio.open_memory_channel[trio.SocketStream](1)
        self._expected[target] = send
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._connect, target, send.send_nowait)
                stream = await receive.receive()
                try:
                    dialled = await self._dialer.secure(peer, target.text, stream)
                except (TransportError, OSError):
                    return  # somebody else is there, or nobody any more
                if found:
                    await dialled.discard()
                else:
                    found.append(dialled)
                scope.cancel()
        finally:
            del self._expected[target]
            _close_left(receive)

    # --- both -----------------------------------------------------------------------------------

    def _enter(self, peer: PeerId) -> None:
        if peer in self._busy:
            raise PunchFailed("under way already")
        if len(self._busy) >= AT_ONCE_MAX:
            raise PunchFailed(f"{AT_ONCE_MAX} are under way already")
        self._busy[peer] = None

    async def _find_own(self, connection: Libp2pConnection) -> list[Target]:
        """Where the router may let the peer in: as the relay sees it, and as most routers map it."""
        assert connection.relayed is not None, "only a relayed connection is bettered"
        observed = await self._find_observed(connection.relayed.relay)
        ports = [observed.port, self._ports.find_port(_family_of(observed.host))]
        return [Target(observed.host, port) for port in dict.fromkeys(ports) if port is not None]

    async def _connect(
        self, target: Target, on_stream: Callable[[trio.SocketStream], None]
    ) -> None:
        for _ in range(CONNECTS_MAX):
            try:
                stream = await self._ports.connect(target.host, target.port)
            except OSError:
                await trio.sleep(REFUSED_PAUSE_S)
                continue
            try:
                on_stream(stream)
            except trio.WouldBlock:
                await trio.aclose_forcefully(stream)
            return


def _check(connection: Libp2pConnection, named: Sequence[bytes]) -> tuple[Target, ...]:
    relayed = connection.relayed
    assert relayed is not None, "only a relayed connection is bettered"
    return pick_targets(named, seen_host=relayed.seen_host, relay_host=relayed.relay_host)


def _family_of(host: str) -> socket.AddressFamily:
    return trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET


def _close_left(receive: trio.MemoryReceiveChannel[trio.SocketStream]) -> None:
    try:
        receive.receive_nowait().socket.close()
    except trio.WouldBlock:
        return


async def _let_go(stream: YamuxStream) -> None:
    with trio.CancelScope(shield=True):
        try:
            await reset_stream(stream)
        except Exception:  # noqa: BLE001 - the library's errors of a stream that is gone are many
            return
