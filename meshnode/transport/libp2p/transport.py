"""`Libp2pTransport`: the transport port over TCP, Noise and Yamux."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.libp2p.addresses import parse_address
from meshnode.transport.libp2p.circuits import Circuits, Reservation
from meshnode.transport.libp2p.connection import Libp2pConnection
from meshnode.transport.libp2p.dcutr import DCUTR_PROTOCOL, PunchFailed
from meshnode.transport.libp2p.dialer import Dialer
from meshnode.transport.libp2p.guest import TrioGuest
from meshnode.transport.libp2p.hardening import HandshakeGate, set_socket_options
from meshnode.transport.libp2p.host import Identity
from meshnode.transport.libp2p.identify import IDENTIFY_PROTOCOL, tell_observed
from meshnode.transport.libp2p.listening import ListenPorts
from meshnode.transport.libp2p.punching import HolePuncher
from meshnode.transport.libp2p.relay_server import RelayServer
from meshnode.transport.libp2p.stream_bytes import RelayedConnection
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import RelayLimits
from meshnode.transport.session_transport import SessionTransport

if TYPE_CHECKING:
    from meshnode.transport.base import PeerId, TransportHandler
    from meshnode.transport.libp2p.connection import ServeRaw
    from meshnode.transport.libp2p.dcutr import Target
    from meshnode.transport.libp2p.dialer import Dialled
    from meshnode.transport.libp2p.hardening import Place
    from meshnode.transport.libp2p.muxer import GuardedConnection
    from meshnode.transport.limits import TransportLimits
    from meshnode.transport.session import Session

    Dial = Callable[[PeerId, tuple[str, ...]], Awaitable[Dialled]]

LISTEN_DEFAULT = ("/ip4/127.0.0.1/tcp/0",)


class Libp2pTransport(SessionTransport):
    """A node on the network; several may live in one process and one event loop.

    Args:
        seed: the 32 secret bytes of the node's Ed25519 host key.
        listen: addresses to listen on; port 0 lets the system choose.
        announce: addresses to advertise instead of those listened on.
        limits: what the node grants its peers.
    """

    def __init__(
        self,
        seed: bytes,
        *,
        listen: Sequence[str] = LISTEN_DEFAULT,
        announce: Sequence[str] = (),
        limits: TransportLimits | None = None,
    ) -> None:
        self._identity = Identity(seed)
        super().__init__(self._identity.peer_id, limits)
        self._ports = ListenPorts([parse_address(text) for text in listen])
        self._addresses = tuple(announce)
        self._bound: tuple[str, ...] = ()
        self._gate = HandshakeGate(self._limits)
        self._dialer = Dialer(self._identity, self._limits, self._counters, self._ports)
        self._circuits = Circuits(self._limits, self._dial_relay, self._take_relayed)
        self._dialer.open_circuit = self._circuits.open
        self._relay: RelayServer | None = None
        self._puncher: HolePuncher | None = None
        self._raw: dict[str, ServeRaw] = {}
        self._dials: dict[PeerId, _PendingDial] = {}
        self._guest: TrioGuest | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._connections = 0
        self._closing = False
        self._started = trio.Event()
        self._stopped = trio.Event()
        self._arriving: dict[PeerId, trio.Event] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Dialable addresses of this node, each ending in its peer id."""
        return self._addresses

    @property
    def bound_addresses(self) -> tuple[str, ...]:
        """Where this node listens, whatever it advertises; empty before the start."""
        return self._bound

    @property
    def relays(self) -> tuple[PeerId, ...]:
        """Relays at which this node has a place now."""
        return self._circuits.reserved

    @property
    def relay_server(self) -> RelayServer | None:
        """The relay that this node is, if it is one."""
        return self._relay

    def serve_relay(
        self, may_use: Callable[[PeerId], bool], limits: RelayLimits | None = None
    ) -> None:
        """From now on hand connections on, between those who may use that."""
        self._relay = RelayServer(
            may_use, limits or RelayLimits(), self._counters, self._limits.handshake_ms
        )
        self._raw[IDENTIFY_PROTOCOL] = tell_observed

    def punch_holes(self, may_punch: Callable[[PeerId], bool]) -> None:
        """From now on look for direct connections with peers that take part and are met at relays.

        Call it once the transport has started.
        """
        self._ports.share()
        self._puncher = HolePuncher(
            self._ports,
            self._dialer,
            self._counters,
            may_punch=may_punch,
            find_observed=self._circuits.find_observed,
            dial=self._dial_targets,
            welcome=self._welcome_punched,
        )
        self._raw[DCUTR_PROTOCOL] = self._puncher.serve

    async def punch(self, peer: PeerId) -> int:
        """Have both ends of a relayed connection dial each other at once; the number of tries.

        Only the end that was dialled begins; 0 where the connection is direct. Raises
        `TransportError`.
        """
        session = self._sessions.get(peer)
        if self._guest is None or self._puncher is None or session is None:
            raise PunchFailed("there is no connection to better")
        connection = session.carrier
        assert isinstance(connection, Libp2pConnection), "this transport made it"
        if not session.is_relayed:
            return 0
        if not session.inbound:
            raise PunchFailed("the peer begins, which was dialled")
        return await self._guest.run(self._puncher.punch, connection)

    async def reserve(self, relay: PeerId, addresses: Sequence[str]) -> Reservation:
        """Take or renew a place at a relay. Raises `TransportError`."""
        if self._guest is None:
            raise DialFailed("the transport is not running", hint="start it first")
        return await self._guest.run(self._circuits.reserve, relay, tuple(addresses))

    def release(self, relay: PeerId) -> None:
        """Give the place at a relay back."""
        self._circuits.release(relay)

    async def probe(self, peer: PeerId, address: str) -> None:
        """Connect to a peer at an address, beside any connection there is, and end that at once.

        Raises `TransportError`.
        """
        if self._guest is None:
            raise DialFailed("the transport is not running", hint="start it first")
        try:
            await self._guest.run(self._dialer.probe, peer, address)
        except trio.TooSlowError:
            raise DialFailed(f"{address}: no answer in time") from None
        except OSError as error:
            raise DialFailed(f"{address}: {error.strerror or error}") from None

    async def start(self, handler: TransportHandler) -> None:
        """Listen; raises `TransportError` when an address is taken or cannot be listened on."""
        guest = await TrioGuest.acquire()
        try:
            listeners = await guest.run(self._open_listeners)
        except BaseException:
            await guest.release()
            raise
        self._guest = guest
        self._begin(handler)
        guest.start_soon(self._main, listeners)
        await guest.run(self._started.wait)

    async def dial(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """Connect to a peer at any of its addresses; raises `DialFailed`.

        Does nothing when connected; dials of one peer at the same time share one attempt.
        """
        if self._guest is None:
            raise DialFailed("the transport is not running", hint="start it first")
        if not self.is_connected(peer):
            await self._guest.run(self._dial, peer, tuple(addresses))

    async def upgrade(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """Have a direct connection take the place of a relayed one; raises `DialFailed`.

        Does nothing when the connection is direct.
        """
        if self._guest is None:
            raise DialFailed("the transport is not running", hint="start it first")
        direct = tuple(text for text in addresses if "/p2p-circuit" not in text)
        if not self._is_settled(peer, direct):
            await self._guest.run(self._dial, peer, direct)

    async def close(self) -> None:
        """End every connection and every task; nothing of the transport survives."""
        guest, self._guest = self._guest, None
        if guest is None:
            return
        self._closing = True
        await self._end("the node is closing")
        self._scope.cancel()
        await guest.run(self._stopped.wait)
        await guest.release()

    async def _open_listeners(self) -> list[trio.SocketListener]:
        listeners, self._bound = await self._ports.open(self._peer_id)
        self._addresses = self._addresses or self._bound
        return listeners

    async def _main(self, listeners: list[trio.SocketListener]) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = self._circuits.nursery = nursery
                    self._started.set()
                    await trio.serve_listeners(self._accept, listeners, handler_nursery=nursery)
        finally:
            with trio.CancelScope(shield=True):
                await self._ports.close()
            self._stopped.set()

    async def _accept(self, stream: trio.SocketStream, expected: PeerId | None = None) -> None:
        try:
            set_socket_options(stream)
            tcp = TcpConnection(stream, is_initiator=False, counters=self._counters)
            is_taken = self._puncher is not None and self._puncher.take(stream)
        except OSError:
            return  # gone before it was looked at
        if not is_taken:
            await self._welcome(tcp, expected)

    async def _take_relayed(self, connection: RelayedConnection) -> None:
        await self._welcome(connection)

    def _welcome_punched(self, stream: trio.SocketStream, peer: PeerId) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._run_punched, stream, peer)

    async def _run_punched(self, stream: trio.SocketStream, peer: PeerId) -> None:
        try:
            await self._accept(stream, peer)
        finally:
            await trio.aclose_forcefully(stream)

    async def _welcome(
        self, below: TcpConnection | RelayedConnection, expected: PeerId | None = None
    ) -> None:
        place = None if self._is_full() else self._gate.enter(below.remote_host)
        if place is None:
            self._counters["handshakes_refused"] += 1
            return
        try:
            peer, guard = await self._identity.secure(below, None, self._limits)
            if expected in {None, peer}:
                await self._run_inbound(peer, guard, below, place)
        except TransportError:
            self._counters["handshakes_failed"] += 1
        finally:
            place.leave()

    async def _run_inbound(
        self,
        peer: PeerId,
        guard: GuardedConnection,
        below: TcpConnection | RelayedConnection,
        place: Place,
    ) -> None:
        if not await self._may_arrive(peer):
            return
        relayed = below if isinstance(below, RelayedConnection) else None
        connection = self._new_connection(
            guard, peer=peer, inbound=True, address=below.remote_multiaddr, relayed=relayed
        )
        arrived = self._arriving[peer] = trio.Event()

        def stand(connection: Libp2pConnection) -> Session | None:
            place.leave()
            if connection.is_service:
                arrived.set()
                return None
            session = self._stand(connection)
            pending = self._dials.get(peer)
            if session is not None and pending is not None:
                pending.scope.cancel()
            arrived.set()
            return session

        try:
            await self._run(connection, stand)
        finally:
            arrived.set()
            if self._arriving.get(peer) is arrived:
                del self._arriving[peer]

    async def _may_arrive(self, peer: PeerId) -> bool:
        """Whether an inbound connection is kept when this node dials the same peer right now.

        Of two simultaneous connections both sides keep the one that the smaller id dialled. The
        smaller side therefore lets its own dial come to an end first.
        """
        pending = self._dials.get(peer)
        if pending is None or peer < self._peer_id:
            return True
        await pending.done.wait()
        return not self.is_connected(peer)

    async def _dial_targets(self, peer: PeerId, targets: Sequence[Target]) -> None:
        puncher = self._puncher
        assert puncher is not None
        texts = tuple(target.text for target in targets)
        await self._dial(peer, texts, lambda peer, _texts: puncher.meet(peer, targets))

    async def _dial(
        self, peer: PeerId, addresses: tuple[str, ...], dial: Dial | None = None
    ) -> None:
        assert self._nursery is not None
        pending = self._dials.get(peer)
        if pending is None:
            pending = self._dials[peer] = _PendingDial(dial or self._dialer.dial)
            self._nursery.start_soon(self._run_dial, peer, addresses, pending)
        await pending.done.wait()
        if pending.failure is not None:
            raise DialFailed(pending.failure.message, hint=pending.failure.hint)

    async def _run_dial(
        self, peer: PeerId, addresses: tuple[str, ...], pending: _PendingDial
    ) -> None:
        def stand(connection: Libp2pConnection) -> Session | None:
            pending.scope.deadline = math.inf
            session = self._stand(connection)
            self._settle(peer, pending, None)
            return session

        self._counters["dials"] += 1
        failure: TransportError = DialFailed(f"the dial of {peer} was given up")
        try:
            with pending.scope:
                await self._wait_for_arrival(peer)
                if not self._is_settled(peer, addresses):
                    await self._reach(peer, addresses, pending, stand)
        except TransportError as error:
            failure = error
        finally:
            is_settled = self._is_settled(peer, addresses)
            self._settle(peer, pending, None if is_settled else failure)

    async def _reach(
        self,
        peer: PeerId,
        addresses: tuple[str, ...],
        pending: _PendingDial,
        stand: Callable[[Libp2pConnection], Session | None],
    ) -> None:
        if self._is_full():
            raise DialFailed(f"{self._connections} connections stand, no more are allowed")
        deadline = trio.current_time() + self._limits.dial_ms / 1000
        dialled = await pending.dial(peer, addresses)
        pending.scope.deadline = deadline
        connection = self._new_connection(
            dialled.guard,
            peer=peer,
            inbound=False,
            address=dialled.address,
            relayed=dialled.relayed,
        )
        try:
            await self._run(connection, stand)
        finally:
            if dialled.relayed is not None:
                await dialled.relayed.release()

    async def _dial_relay(self, relay: PeerId, addresses: tuple[str, ...]) -> Dialled:
        direct = [text for text in addresses if "/p2p-circuit" not in text]
        # The router then maps the listening port, and the relay sees to what.
        return await self._dialer.dial(relay, direct, from_listening=self._puncher is not None)

    def _is_settled(self, peer: PeerId, addresses: Sequence[str]) -> bool:
        """Whether a connection stands that these addresses could not better."""
        session = self._sessions.get(peer)
        if session is None or session.ending:
            return False
        return not session.is_relayed or any("/p2p-circuit" in text for text in addresses)

    async def _wait_for_arrival(self, peer: PeerId) -> None:
        arrival = self._arriving.get(peer)
        if arrival is not None:
            await arrival.wait()

    def _settle(self, peer: PeerId, pending: _PendingDial, failure: TransportError | None) -> None:
        if pending.done.is_set():
            return
        if failure is not None:
            self._counters["dials_failed"] += 1
        pending.failure = failure
        pending.done.set()
        del self._dials[peer]

    async def _run(
        self,
        connection: Libp2pConnection,
        stand: Callable[[Libp2pConnection], Session | None],
    ) -> None:
        self._connections += 1
        try:
            await connection.run(stand)
        except TransportError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault ends one connection, never the node
            self._report(f"the connection to {connection.peer} failed", error)
        finally:
            self._connections -= 1

    def _new_connection(
        self,
        guard: GuardedConnection,
        *,
        peer: PeerId,
        inbound: bool,
        address: str,
        relayed: RelayedConnection | None,
    ) -> Libp2pConnection:
        if self._guest is None:  # closed while the handshake went on
            raise DialFailed("the transport is closing")
        return Libp2pConnection(
            self._guest,
            guard,
            peer=peer,
            inbound=inbound,
            address=address,
            limits=self._limits,
            relay=self._relay,
            relayed=relayed,
            raw=self._raw,
        )

    def _stand(self, connection: Libp2pConnection) -> Session | None:
        session = self._new_session(
            connection,
            peer=connection.peer,
            inbound=connection.inbound,
            address=connection.address,
        )
        if not self._admit(session):
            return None
        if self._puncher is not None and not session.is_relayed:
            self._puncher.stood(connection.peer)
        return session

    def _is_full(self) -> bool:
        return self._closing or self._connections >= self._limits.connections


class _PendingDial:
    """One attempt to reach one peer, shared by everyone who asked for it."""

    def __init__(self, dial: Dial) -> None:
        self.dial = dial
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.failure: TransportError | None = None
