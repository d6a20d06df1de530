"""Reaching a peer at one of several addresses, the first that proves the peer's key winning."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.addresses import TcpAddress, parse_dial_address
from meshnode.transport.libp2p.hardening import set_socket_options
from meshnode.transport.libp2p.muxer import GuardedConnection
from meshnode.transport.libp2p.stream_bytes import RelayedConnection
from meshnode.transport.libp2p.tcp import TcpConnection

if TYPE_CHECKING:
    from meshnode.transport.libp2p.host import Identity
    from meshnode.transport.libp2p.listening import ListenPorts
    from meshnode.transport.limits import TransportLimits

    OpenCircuit = Callable[[PeerId, str, PeerId], Awaitable[RelayedConnection]]

ATTEMPT_STAGGER_S = 0.25
_PORT_TAKEN = {None, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EINVAL}
"""The listening port cannot be dialled from, or has a connection to this very address already."""


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection that has proved the peer's key."""

    guard: GuardedConnection
    address: str
    relayed: RelayedConnection | None = None
    """What lies below where it leads through a relay: released by whoever ends the connection."""
    is_from_listening: bool = False
    """Whether it was dialled from the port that is listened on."""

    async def discard(self) -> None:
        """End a connection that nobody wants."""
        self.guard.cut()
        if self.relayed is not None:
            await self.relayed.release()


class Dialer:
    """Dials for one node."""

    def __init__(
        self,
        identity: Identity,
        limits: TransportLimits,
        counters: dict[str, int],
        ports: ListenPorts,
    ) -> None:
        self._identity = identity
        self._ports = ports
        self._limits = limits
        self._counters = counters
        self.open_circuit: OpenCircuit | None = None
        """Reaches a peer through a relay; None where addresses of relays are passed over."""

    async def dial(
        self, peer: PeerId, texts: Sequence[str], *, from_listening: bool = False
    ) -> Dialled:
        """The first authenticated connection; raises `DialFailed` with every address's reason.

        Nothing is remembered of failures: a peer that comes back is reached at once. With
        `from_listening` it is dialled from the port that is listened on, where that can be.
        """
        reasons: list[str] = []
        addresses = self._usable(peer, texts, reasons)
        found: list[Dialled] = []
        with trio.move_on_after(self._limits.dial_ms / 1000) as deadline:
            await self._race(peer, addresses, found, reasons, from_listening=from_listening)
        if found:
            return found[0]
        if deadline.cancelled_caught:
            reasons.append(f"no answer within {self._limits.dial_ms} ms")
        raise DialFailed(
            f"cannot reach {peer}: {', '.join(reasons) or 'no address is known'}",
            hint="check that the peer runs and that its address is reachable",
        )

    def _usable(
        self, peer: PeerId, texts: Sequence[str], reasons: list[str]
    ) -> list[tuple[str, TcpAddress]]:
        usable: dict[str, TcpAddress] = {}
        for text in texts[: self._limits.dial_addresses]:
            try:
                address = parse_dial_address(text)
            except TransportError as error:
                reasons.append(error.message)
                continue
            if address.peer not in {None, peer}:
                reasons.append(f"{text} belongs to another peer")
            else:
                usable[text] = address
        # Whoever can be reached directly is not reached through others.
        return sorted(usable.items(), key=lambda item: item[1].relay is not None)

    async def _race(
        self,
        peer: PeerId,
        addresses: list[tuple[str, TcpAddress]],
        found: list[Dialled],
        reasons: list[str],
        *,
        from_listening: bool,
    ) -> None:
        """Try the addresses, the next when one has failed or has been silent for a moment."""
        async with trio.open_nursery() as nursery:

            async def attempt(text: str, address: TcpAddress, failed: trio.Event) -> None:
                try:
                    dialled = await self._attempt(
                        peer, text, address, from_listening=from_listening
                    )
                except (TransportError, OSError) as error:
                    reasons.append(f"{text}: {error}")
                    failed.set()
                    return
                if found:
                    await dialled.discard()
                else:
                    found.append(dialled)
                    nursery.cancel_scope.cancel()

            for text, address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, text, address, failed)
                with trio.move_on_after(ATTEMPT_STAGGER_S):
                    await failed.wait()

    async def probe(self, peer: PeerId, text: str) -> None:
        """Connect afresh to a peer at one address, only to see whether it is there.

        Raises `TransportError` or `OSError`.
        """
        address = parse_dial_address(text)
        with trio.fail_after(self._limits.handshake_ms / 1000):
            dialled = await self._attempt(peer, text, address, from_listening=False)
        await dialled.discard()

    async def _attempt(
        self, peer: PeerId, text: str, address: TcpAddress, *, from_listening: bool
    ) -> Dialled:
        if address.relay is not None:
            return await self._attempt_circuit(peer, text, PeerId(address.relay))
        if from_listening and address.host_kind in {"ip4", "ip6"}:
            try:
                stream = await self._ports.connect(address.host, address.port)
                return await self.secure(peer, text, stream, is_from_listening=True)
            except OSError as error:
                if error.errno not in _PORT_TAKEN:
                    raise
        return await self.secure(peer, text, await trio.open_tcp_stream(address.host, address.port))

    async def secure(
        self, peer: PeerId, text: str, stream: trio.SocketStream, *, is_from_listening: bool = False
    ) -> Dialled:
        """Have a peer prove its key on a TCP connection, as the one who has dialled it.

        Raises `TransportError` or `OSError`, with the connection closed.
        """
        try:
            set_socket_options(stream)
            connection = TcpConnection(stream, is_initiator=True, counters=self._counters)
            _, guard = await self._identity.secure(connection, peer, self._limits)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return Dialled(guard, text, is_from_listening=is_from_listening)

    async def _attempt_circuit(self, peer: PeerId, text: str, relay: PeerId) -> Dialled:
        if self.open_circuit is None:
            raise DialFailed("this node uses no relays")
        if relay in {peer, self._identity.peer_id}:
            raise DialFailed("a peer is no relay to itself")
        connection = await self.open_circuit(relay, text.partition("/p2p-circuit")[0], peer)
        try:
            _, guard = await self._identity.secure(connection, peer, self._limits)
        except BaseException:
            await connection.release()
            raise
        return Dialled(guard, text, connection)
