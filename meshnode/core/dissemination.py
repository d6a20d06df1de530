"""Spreading new vertices: the author pushes to everybody it is connected to, and then?

In a full mesh that is all: receivers announce what they have, and whoever still misses a vertex
after a while pulls it. In larger networks receivers also push to the branches of a tree
(`meshnode.core.plumtree`) what they have admitted, and announce it to their other neighbours. So
each vertex crosses each link of the full mesh or of the tree about once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meshnode.core.messages import IDS_MAX, Graft, IHave, Prune, Push

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.identity import VerifiedVertex
    from meshnode.core.fetching import Fetching
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.plumtree import Plumtree
    from meshnode.core.settings import Timing

KNOWN_MAX: Final = 16_384
"""Vertices of which it is remembered who has them; older ones are everywhere by then."""
KNOWN_MS: Final = 120_000
DUPLICATE_MS: Final = 1_000
"""What comes again later than this was sent to compare stores, and says nothing of the tree."""
ANNOUNCED_WINDOW_MS: Final = 1_000
ANNOUNCED_MAX: Final = 5_000
"""Ids a peer may announce per window; it may announce more, and is not listened to."""


@dataclass(slots=True, eq=False)
class _Trace:
    """How a vertex came here, and who has it."""

    since_ms: int
    announced_ms: int = -1
    arrived_ms: int = -1
    pulled: bool = False
    holders: dict[str, None] = field(default_factory=dict)


class Dissemination:
    """Who has what, what is passed on, and what is announced next."""

    def __init__(
        self,
        outbox: Outbox,
        peers: Peers,
        fetching: Fetching,
        tree: Plumtree,
        *,
        timing: Timing,
        is_stored: Callable[[bytes], bool],
        is_overlay: Callable[[], bool],
    ) -> None:
        self._outbox = outbox
        self._peers = peers
        self._fetching = fetching
        self._tree = tree
        self._timing = timing
        self._is_stored = is_stored
        self._is_overlay = is_overlay
        self._traces: dict[bytes, _Trace] = {}
        self._announced: dict[str, int] = {}
        self._window_ms = 0
        self._unannounced: list[bytes] = []
        self._flush_due_ms = -1

    # --- links ----------------------------------------------------------------------------------

    def add_peer(self, peer: str) -> None:
        """A connection is ready."""
        self._tree.add(peer)

    def drop_peer(self, now_ms: int, peer: str) -> None:
        """A connection has ended."""
        self._tree.drop(now_ms, peer)

    def on_branch(self, now_ms: int, peer: str, message: Graft | Prune) -> None:
        """A peer wants more, or less, to be pushed."""
        if isinstance(message, Graft):
            self._tree.on_graft(now_ms, peer)
        else:
            self._tree.on_prune(now_ms, peer)

    # --- what comes -----------------------------------------------------------------------------

    def _trace(self, now_ms: int, vertex_id: bytes) -> _Trace:
        trace = self._traces.get(vertex_id)
        if trace is None:
            trace = self._traces[vertex_id] = _Trace(now_ms)
            for _ in range(2):  # one more than comes, so that the old ones do go
                oldest = next(iter(self._traces))
                is_old = now_ms - self._traces[oldest].since_ms >= KNOWN_MS
                if is_old or len(self._traces) > KNOWN_MAX:
                    del self._traces[oldest]
        return trace

    def note_vertex(
        self, now_ms: int, peer: str, vertex_id: bytes, *, asked: bool, is_new: bool
    ) -> None:
        """A peer sent a vertex: it has it, and the tree shows how well it stands."""
        trace = self._trace(now_ms, vertex_id)
        trace.holders[peer] = None
        if not is_new:
            if not asked:
                self._note_again(now_ms, peer, trace)
            return
        trace.arrived_ms = now_ms
        trace.pulled = asked
        if not asked:
            self._tree.note_fresh(peer)
            self._note_delay(now_ms, trace)
        elif trace.announced_ms >= 0:
            self._tree.note_pulled(now_ms, peer)

    def _note_again(self, now_ms: int, peer: str, trace: _Trace) -> None:
        if trace.pulled:
            trace.pulled = False
            self._note_delay(now_ms, trace)
        elif 0 <= now_ms - trace.arrived_ms <= DUPLICATE_MS and trace.arrived_ms >= 0:
            self._tree.note_duplicate(now_ms, peer)

    def _note_delay(self, now_ms: int, trace: _Trace) -> None:
        self._tree.note_delay(0 if trace.announced_ms < 0 else now_ms - trace.announced_ms)

    def on_ihave(self, now_ms: int, peer: str, message: IHave) -> None:
        """Note who has what; pull later what has not come by then."""
        if now_ms - self._window_ms >= ANNOUNCED_WINDOW_MS:
            self._window_ms = now_ms
            self._announced = {}
        count = self._announced[peer] = self._announced.get(peer, 0) + len(message.ids)
        if count > ANNOUNCED_MAX:
            return
        missing: list[bytes] = []
        for vertex_id in message.ids:
            trace = self._trace(now_ms, vertex_id)
            trace.holders[peer] = None
            if not self._is_stored(vertex_id):
                missing.append(vertex_id)
                if trace.announced_ms < 0:
                    trace.announced_ms = now_ms
        if self._is_overlay():
            wait_ms = self._tree.pull_after_ms
            self._fetching.want(peer, missing, now_ms + wait_ms, again_ms=wait_ms // 2)
        else:
            self._fetching.want(peer, missing, now_ms + self._timing.pull_after_ms)

    # --- what goes ------------------------------------------------------------------------------

    def push(self, signed: VerifiedVertex) -> None:
        """Send an own vertex to every peer."""
        self._outbox.send(self._peers.ready_names, Push((signed.wire,)))

    def pass_on(self, now_ms: int, signed: VerifiedVertex) -> None:
        """Send another author's vertex to the branches, and announce it to the others soon.

        What exceeds one message per flush is not announced: reconciliation compares whole stores.
        """
        trace = self._trace(now_ms, signed.id)
        branches = [peer for peer in self._tree.eager if peer not in trace.holders]
        self._outbox.send(branches, Push((signed.wire,)))
        for peer in branches:
            trace.holders[peer] = None
        if len(self._unannounced) < IDS_MAX:
            self._unannounced.append(signed.id)
            if self._flush_due_ms < 0:
                timing = self._timing
                is_tree = self._is_overlay()
                wait_ms = timing.tree_flush_ms if is_tree else timing.ihave_flush_ms
                self._flush_due_ms = now_ms + wait_ms

    def tick(self, now_ms: int) -> None:
        """Announce what is due."""
        if not 0 <= self._flush_due_ms <= now_ms:
            return
        ids, self._unannounced, self._flush_due_ms = self._unannounced, [], -1
        holders = [
            trace.holders if (trace := self._traces.get(vertex_id)) is not None else {}
            for vertex_id in ids
        ]
        for peer in self._peers.ready_names:
            news = [
                vertex_id
                for vertex_id, known in zip(ids, holders, strict=True)
                if peer not in known
            ]
            if news:
                self._outbox.send((peer,), IHave(tuple(news)))

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._flush_due_ms < 0 else self._flush_due_ms
