"""Reaching a peer at one of several addresses, the first that proves the peer's key winning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.libp2p.addresses import TcpAddress, parse_address
from meshnode.transport.libp2p.hardening import set_socket_options
from meshnode.transport.libp2p.muxer import GuardedConnection
from meshnode.transport.libp2p.tcp import TcpConnection

if TYPE_CHECKING:
    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.host import Identity
    from meshnode.transport.limits import TransportLimits

ATTEMPT_STAGGER_S = 0.25


@dataclass(frozen=True, slots=True)
class Dialled:
    """A connection that has proved the peer's key."""

    guard: GuardedConnection
    address: str


class Dialer:
    """Dials for one node."""

    def __init__(
        self, identity: Identity, limits: TransportLimits, counters: dict[str, int]
    ) -> None:
        self._identity = identity
        self._limits = limits
        self._counters = counters

    async def dial(self, peer: PeerId, texts: Sequence[str]) -> Dialled:
        """The first authenticated connection; raises `DialFailed` with every address's reason.

        Nothing is remembered of failures: a peer that comes back is reached at once.
        """
        reasons: list[str] = []
        addresses = self._usable(peer, texts, reasons)
        found: list[Dialled] = []
        with trio.move_on_after(self._limits.dial_ms / 1000) as deadline:
            await self._race(peer, addresses, found, reasons)
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
                address = parse_address(text)
            except TransportError as error:
                reasons.append(error.message)
                continue
            if address.peer not in {None, peer}:
                reasons.append(f"{text} belongs to another peer")
            else:
                usable[text] = address
        return list(usable.items())

    async def _race(
        self,
        peer: PeerId,
        addresses: list[tuple[str, TcpAddress]],
        found: list[Dialled],
        reasons: list[str],
    ) -> None:
        """Try the addresses, the next when one has failed or has been silent for a moment."""
        async with trio.open_nursery() as nursery:

            async def attempt(text: str, address: TcpAddress, failed: trio.Event) -> None:
                try:
                    dialled = await self._attempt(peer, text, address)
                except (TransportError, OSError) as error:
                    reasons.append(f"{text}: {error}")
                    failed.set()
                    return
                if found:
                    dialled.guard.cut()
                else:
                    found.append(dialled)
                    nursery.cancel_scope.cancel()

            for text, address in addresses:
                failed = trio.Event()
                nursery.start_soon(attempt, text, address, failed)
                with trio.move_on_after(ATTEMPT_STAGGER_S):
                    await failed.wait()

    async def _attempt(self, peer: PeerId, text: str, address: TcpAddress) -> Dialled:
        stream = await trio.open_tcp_stream(address.host, address.port)
        try:
            set_socket_options(stream)
            connection = TcpConnection(stream, is_initiator=True, counters=self._counters)
            _, guard = await self._identity.secure(connection, peer, self._limits)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return Dialled(guard, text)
