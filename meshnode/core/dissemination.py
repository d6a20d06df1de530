"""Spreading new vertices in a full mesh: the author sends to everybody, everybody else checks.

Receivers do not forward. They announce ids to peers not known to have them, and whoever still
misses one after a while pulls it. So each vertex crosses each link about once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.core.messages import IDS_MAX, IHave, Push

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.identity import VerifiedVertex
    from meshnode.core.fetching import Fetching
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.settings import Timing

KNOWN_MAX: Final = 16_384
"""Vertices of which it is remembered who has them; older ones are everywhere by then."""


class Dissemination:
    """Who has what, and what is announced next."""

    def __init__(
        self,
        outbox: Outbox,
        peers: Peers,
        fetching: Fetching,
        timing: Timing,
        is_stored: Callable[[bytes], bool],
    ) -> None:
        self._outbox = outbox
        self._peers = peers
        self._fetching = fetching
        self._timing = timing
        self._is_stored = is_stored
        self._known: dict[bytes, dict[str, None]] = {}
        self._unannounced: list[bytes] = []
        self._flush_due_ms = -1

    def note_known(self, vertex_id: bytes, peer: str) -> None:
        """Remember that a peer has a vertex."""
        known = self._known.get(vertex_id)
        if known is not None:
            known[peer] = None
            return
        self._known[vertex_id] = {peer: None}
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]

    def push(self, signed: VerifiedVertex) -> None:
        """Send an own vertex to every peer."""
        self._outbox.send(self._peers.ready_names, Push((signed.wire,)))

    def announce(self, now_ms: int, vertex_id: bytes) -> None:
        """Announce another author's vertex soon.

        What exceeds one message per flush is not announced: reconciliation compares whole stores.
        """
        if len(self._unannounced) < IDS_MAX:
            self._unannounced.append(vertex_id)
            if self._flush_due_ms < 0:
                self._flush_due_ms = now_ms + self._timing.ihave_flush_ms

    def on_ihave(self, now_ms: int, peer: str, message: IHave) -> None:
        """Note who has what; pull later what has not come by then."""
        missing: list[bytes] = []
        for vertex_id in message.ids:
            self.note_known(vertex_id, peer)
            if not self._is_stored(vertex_id):
                missing.append(vertex_id)
        self._fetching.want(peer, missing, now_ms + self._timing.pull_after_ms)

    def tick(self, now_ms: int) -> None:
        """Announce what is due."""
        if not 0 <= self._flush_due_ms <= now_ms:
            return
        ids, self._unannounced, self._flush_due_ms = self._unannounced, [], -1
        for peer in self._peers.ready_names:
            news = tuple(
                [vertex_id for vertex_id in ids if peer not in self._known.get(vertex_id, ())]
            )
            if news:
                self._outbox.send((peer,), IHave(news))

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._flush_due_ms < 0 else self._flush_due_ms
