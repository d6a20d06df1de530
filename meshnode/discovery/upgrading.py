"""Direct connections in the place of relayed ones: when they are looked for, and what came of it.

First the peer is dialled where it says that it can be. Where nobody answers, and the relayed
connection was begun by the peer, both dial each other at the same moment. What failed is tried again
after five minutes, then after longer and longer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from meshnode.discovery.ways import Way
from meshnode.errors import TransportError
from meshnode.transport.base import PeerId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.core.entropy import Entropy
    from meshnode.core.views import PeerView
    from meshnode.discovery.mesh import Mesh

FIRST_MS: Final = 1_000
"""After a peer that has come through a relay has become ready; the one who dialled waits longer."""
UPGRADE_MS: Final = 300_000
UPGRADE_MAX_MS: Final = 3_600_000
AT_ONCE_MAX: Final = 4
OUTCOMES_MAX: Final = 16
RELAYED_MARK: Final = "/p2p-circuit"
_log: Final = logging.getLogger(__name__)


class UpgradePort(Protocol):
    """How a transport betters connections."""

    async def upgrade(self, peer: PeerId, addresses: Sequence[str]) -> None:
        """Have a direct connection take a relayed one's place. Raises `TransportError`."""

    async def punch(self, peer: PeerId) -> int:
        """Dial each other at the same moment; the number of tries. Raises `TransportError`."""


@dataclass(slots=True)
class _Outlook:
    """When a peer is tried next."""

    due_ms: int
    rest_ms: int = UPGRADE_MS


class Upgrades:
    """One node's relayed connections. `attempt` what `take_due` names, each in a task of its own."""

    def __init__(
        self, mesh: Mesh, transport: UpgradePort, entropy: Entropy, *, punches: bool
    ) -> None:
        self._mesh = mesh
        self._transport = transport
        self._entropy = entropy
        self._punches = punches
        self._outlooks: dict[str, _Outlook] = {}
        self._running: dict[str, None] = {}
        self._replaced: dict[str, None] = {}
        """Peers whose relayed connection has gone; they may be back on a direct one."""
        self._outcomes: dict[str, tuple[bool, str]] = {}
        """By peer, what came of it last, and how or why not."""

    def next_deadline(self) -> int | None:
        """When a peer is to be tried; None while none is."""
        waiting = [
            outlook.due_ms for peer, outlook in self._outlooks.items() if peer not in self._running
        ]
        return min(waiting, default=None) if len(self._running) < AT_ONCE_MAX else None

    def take_due(self, now_ms: int) -> list[str]:
        """Whom to try now, each to be given to `attempt`."""
        relayed = self._list_relayed()
        self._note_replaced(relayed)
        for peer, view in relayed.items():
            if peer not in self._outlooks:
                begins = self._punches and view.inbound
                wait_ms = self._entropy.jitter(FIRST_MS if begins else UPGRADE_MS)
                self._outlooks[peer] = _Outlook(now_ms + wait_ms)
        due = [
            peer
            for peer, outlook in self._outlooks.items()
            if outlook.due_ms <= now_ms and peer not in self._running
        ][: AT_ONCE_MAX - len(self._running)]
        self._running.update(dict.fromkeys(due))
        return due

    def _note_replaced(self, relayed: dict[str, PeerView]) -> None:
        for peer in [peer for peer in self._outlooks if peer not in relayed]:
            del self._outlooks[peer]
            self._replaced[peer] = None
        ready = self._mesh.list_ready()
        for peer in list(self._replaced):
            if peer in relayed or len(self._replaced) > OUTCOMES_MAX:
                del self._replaced[peer]
            elif peer in ready and peer not in self._running:
                del self._replaced[peer]
                if not self._outcomes.get(peer, (False, ""))[0]:
                    self._note(peer, (True, "the peer has found the way"))

    async def attempt(self, peer: str) -> None:
        """Try for a direct connection to one peer."""
        try:
            view = self._list_relayed().get(peer)
            if view is not None:
                outcome = await self._better(peer, view)
                self._note(peer, outcome)
                if outcome[0]:
                    self._outlooks.pop(peer, None)
        finally:
            del self._running[peer]
            outlook = self._outlooks.get(peer)
            if outlook is not None:
                outlook.due_ms = self._mesh.now_ms() + self._entropy.jitter(outlook.rest_ms)
                outlook.rest_ms = min(2 * outlook.rest_ms, UPGRADE_MAX_MS)

    async def _better(self, peer: str, view: PeerView) -> tuple[bool, str]:
        try:
            await self._transport.upgrade(PeerId(peer), view.addresses)
        except TransportError as error:
            if not (self._punches and view.inbound):
                return False, error.message
        else:
            return True, "it answers where it says"
        try:
            tries = await self._transport.punch(PeerId(peer))
        except TransportError as error:
            return False, error.message
        return True, f"both dialled at once, {tries} {'try' if tries == 1 else 'tries'}"

    def _note(self, peer: str, outcome: tuple[bool, str]) -> None:
        self._outcomes.pop(peer, None)
        self._outcomes[peer] = outcome
        while len(self._outcomes) > OUTCOMES_MAX:
            del self._outcomes[next(iter(self._outcomes))]
        got_through, detail = outcome
        result = "direct connection" if got_through else "stays on the relay"
        _log.info("%s with %s: %s", result, peer, detail)

    def _list_relayed(self) -> dict[str, PeerView]:
        ready = self._mesh.list_ready()
        return {peer: view for peer, view in ready.items() if RELAYED_MARK in view.address}

    def describe(self) -> Way:
        """What was tried, and what came of it."""
        relayed = len(self._list_relayed())
        standing = f"{relayed} connected through relays"
        if not self._punches:
            return Way("direct", "info", f"`punch_holes` is false; {standing}")
        if not self._outcomes:
            return Way("direct", "info", f"nothing tried yet; {standing}")
        through = sum(got_through for got_through, _ in self._outcomes.values())
        peer, (got_through, detail) = list(self._outcomes.items())[-1]
        last = f"...{peer[-8:]} {'got through' if got_through else 'not'}: {detail}"
        shown = f"{through} of {len(self._outcomes)} tried got through, {standing}; last {last}"
        if relayed and not through:
            fix = "routers here give no steady ports: open the port, or let the relay carry it"
            return Way("direct", "info", shown, fix)
        return Way("direct", "ok" if through else "info", shown)
