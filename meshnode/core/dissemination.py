"""Spreading new vertices: pushed over some links, announced over the others.

In a full mesh the author pushes to everybody, and receivers announce what they have: whoever still
misses a vertex after a while pulls it. Whoever pulls an author's blocks is sent the next ones by
whom it asked (`meshnode.core.relays`). In larger networks author and receivers push to the branches
of a tree (`meshnode.core.plumtree`) and announce to their other neighbours. So each vertex reaches
each node about once. Validators send their blocks to each other besides. What authors that forked
sign is announced only.

An author that pushes to all its neighbours saves a tree a quarter of the time, and costs it twice:
the copies, and the branches that are pruned because what they bring has come before. So it does so
where much is said, when no tree is pruned bare.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from dag.types import LANE_BLOCKS
from meshnode.core.messages import IDS_MAX, Graft, IHave, Prune, Push
from meshnode.core.relays import Relays

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.identity import VerifiedVertex
    from dag.intake import Intake
    from meshnode.core.fetching import Fetching
    from meshnode.core.outbox import Outbox
    from meshnode.core.overlay import Overlay
    from meshnode.core.peers import Peers
    from meshnode.core.plumtree import Plumtree
    from meshnode.core.settings import Timing

KNOWN_MAX: Final = 16_384
"""Vertices of which it is remembered who has them; older ones are everywhere by then."""
KNOWN_MS: Final = 120_000
DUPLICATE_MS: Final = 1_000
"""What comes again later than this was sent to compare stores, and says nothing of the tree."""
FRESH_MS: Final = 5_000
"""A block that came longer ago is asked for to catch up, and says nothing of connections."""
ANNOUNCED_WINDOW_MS: Final = 1_000
ANNOUNCED_MAX: Final = 5_000
"""Ids a peer may announce per window; it may announce more, and is not listened to."""


class Way(IntEnum):
    """How a vertex came."""

    PASSED_ON = 0
    """Over a branch."""
    BESIDE = 1
    """From its author, who pushes over other links too, or a block of a fellow validator, who does, or
    of an author that forked, whose vertices are pulled: that says nothing of the tree."""
    PULLED = 2


@dataclass(slots=True, eq=False)
class _Trace:
    """How a vertex came here, and who has it."""

    since_ms: int
    announced_ms: int = -1
    arrived_ms: int = -1
    way: Way | None = None
    """None as long as it has not come."""
    holders: dict[str, None] = field(default_factory=dict)


class Dissemination:
    """Who has what, what is passed on, and what is announced next."""

    def __init__(
        self,
        outbox: Outbox,
        peers: Peers,
        fetching: Fetching,
        tree: Plumtree,
        overlay: Overlay,
        *,
        intake: Intake,
        timing: Timing,
    ) -> None:
        self._outbox = outbox
        self._peers = peers
        self._fetching = fetching
        self._tree = tree
        self._timing = timing
        self._index = intake.index
        self._authors = intake.authors
        self._overlay = overlay
        self._relays = Relays()
        self._traces: OrderedDict[bytes, _Trace] = OrderedDict()
        """The oldest first; a dict would look for it among the places of all that went before."""
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
        self._relays.drop_peer(peer)

    def on_branch(self, now_ms: int, peer: str, message: Graft | Prune) -> None:
        """A peer wants more, or less, to be pushed."""
        if isinstance(message, Prune):
            self._tree.on_prune(now_ms, peer)
        elif not self._tree.on_graft(now_ms, peer):
            detail = "GRAFT of a link that was pruned, and that it has not pulled over"
            self._peers.offend(now_ms, peer, Offence.FLOOD, detail)

    def note_served(self, peer: str, count: int) -> None:
        """A peer was answered with so many vertices that it asked for."""
        self._tree.note_served(peer, count)

    # --- what comes -----------------------------------------------------------------------------

    def on_block_asked(self, now_ms: int, peer: str, author: bytes, vertex_id: bytes) -> None:
        """A peer asks for a block of an author; one that has only just come here, it waits for."""
        trace = self._traces.get(vertex_id)
        if trace is not None and 0 <= now_ms - trace.arrived_ms <= FRESH_MS:
            self._relays.note_asked(now_ms, peer, author)

    def _trace(self, now_ms: int, vertex_id: bytes) -> _Trace:
        traces = self._traces
        trace = traces.get(vertex_id)
        if trace is None:
            trace = traces[vertex_id] = _Trace(now_ms)
            for _ in range(2):  # one more than comes, so that the old ones do go
                oldest = next(iter(traces))
                if len(traces) > KNOWN_MAX or now_ms - traces[oldest].since_ms >= KNOWN_MS:
                    del traces[oldest]
        return trace

    def note_vertex(
        self, now_ms: int, peer: str, vertex_id: bytes, way: Way, *, is_new: bool
    ) -> None:
        """A peer sent a vertex: it has it, and the tree shows how well it stands."""
        trace = self._trace(now_ms, vertex_id)
        trace.holders[peer] = None
        if is_new:
            trace.arrived_ms = now_ms
            trace.way = way
            if self._overlay.is_on:
                self._note_new(now_ms, peer, trace)
        elif way is Way.PASSED_ON:
            self._note_again(now_ms, peer, trace)

    def _note_new(self, now_ms: int, peer: str, trace: _Trace) -> None:
        self._tree.note_new(now_ms)
        if trace.way is Way.PASSED_ON:
            self._tree.note_fresh(now_ms, peer)
            self._note_delay(now_ms, trace)
        elif trace.way is Way.PULLED and trace.announced_ms >= 0:
            self._tree.note_pulled(now_ms, peer)

    def _note_again(self, now_ms: int, peer: str, trace: _Trace) -> None:
        """What came over the tree before shows a branch too many; what was pulled shows nothing."""
        if trace.way is Way.PASSED_ON and now_ms - trace.arrived_ms <= DUPLICATE_MS:
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
        self._tree.note_announced(now_ms, peer)
        missing: list[bytes] = []
        for vertex_id in message.ids:
            trace = self._trace(now_ms, vertex_id)
            trace.holders[peer] = None
            if vertex_id not in self._index:
                missing.append(vertex_id)
                if trace.announced_ms < 0:
                    trace.announced_ms = now_ms
        if self._overlay.is_on:
            wait_ms = self._tree.pull_after_ms
            self._fetching.want(peer, missing, now_ms + wait_ms, again_ms=wait_ms // 2)
        else:
            self._fetching.want(peer, missing, now_ms + self._timing.pull_after_ms)

    # --- what goes ------------------------------------------------------------------------------

    def push(self, now_ms: int, signed: VerifiedVertex) -> None:
        """Send an own vertex to every peer; to the branches only, where they are enough."""
        if self._overlay.is_on and self._tree.is_enough:
            if signed.vertex.lane == LANE_BLOCKS:
                self._hand_on(now_ms, signed, self._overlay.list_colleagues())
            self.pass_on(now_ms, signed)
        else:
            self._outbox.send(self._peers.ready_names, Push((signed.wire,)))

    def pass_on(self, now_ms: int, signed: VerifiedVertex) -> None:
        """Send a vertex to the branches, and announce it to the others soon.

        Whoever forked can make any number of vertices for one slot: they must come, so that all
        know the same, and are worth no copies, so they are announced only.
        What exceeds one message per flush is not announced: reconciliation compares whole stores.
        """
        if not self._authors.is_avoided(signed.vertex.author):
            receivers = self._relays.list_receivers(now_ms, signed.vertex.author)
            if self._overlay.is_on:
                receivers += self._list_branches(signed)
            if receivers:
                self._hand_on(now_ms, signed, receivers)
        if len(self._unannounced) < IDS_MAX:
            self._unannounced.append(signed.id)
            if self._flush_due_ms < 0:
                timing = self._timing
                is_tree = self._overlay.is_on
                wait_ms = timing.tree_flush_ms if is_tree else timing.ihave_flush_ms
                self._flush_due_ms = now_ms + wait_ms

    def _list_branches(self, signed: VerifiedVertex) -> list[str]:
        """Where the tree leads on; validators have got each other's blocks already."""
        is_block = signed.vertex.lane == LANE_BLOCKS
        if not is_block or not self._overlay.is_colleague(signed.vertex.author):
            return list(self._tree.eager)
        colleagues = self._overlay.list_colleagues()
        return [peer for peer in self._tree.eager if peer not in colleagues]

    def _hand_on(self, now_ms: int, signed: VerifiedVertex, receivers: Iterable[str]) -> None:
        trace = self._trace(now_ms, signed.id)
        lacking = [peer for peer in dict.fromkeys(receivers) if peer not in trace.holders]
        if lacking:
            self._outbox.send(lacking, Push((signed.wire,)))
            trace.holders.update(dict.fromkeys(lacking))

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
