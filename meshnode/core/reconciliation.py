"""Comparing whole stores, and closing the difference.

    DIGEST     what I hold, in 48 bytes; regularly, in every PONG, and at once on a new connection
    HEADS      sent by whoever seems to be behind; answered with HEADS
    PUSH       whoever receives HEADS sends what lies above the heads it knows and below its own
    GET        where that leads to nothing, the heads are fetched, and their parents after them

Stores are ancestor-closed, so knowing one vertex of the other side means knowing that it holds all
below; HEADS therefore carries, beside the heads, a few vertices at ever wider distances below. That
way two sides that both have news need no walk: each finds a common vertex and sends what is above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.heads import compute_heads_digest
from meshnode.core.messages import HEADS_MAX, Digest, Heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from dag.intake import Intake
    from dag.types import Ref
    from meshnode.core.fetching import Fetching
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.settings import Timing

TRANSFER_IDS_MAX: Final = 16_384
"""Vertices sent for one HEADS; the next digest shows what is still missing."""
WALK_AFTER_ROUNDS: Final = 2
"""Fruitless exchanges with a peer after which its heads are fetched one by one."""
HISTORY_STEPS: Final = 8
"""Into how many steps the time is cut that a push is given to arrive."""
LAG_FACTOR: Final = 5
"""A push to a peer that lags takes at most so many times as long as one to a peer that does not."""
WALK_AT_ONCE_MAX: Final = 64
"""A store of so few vertices is fetched at once where nothing in common is known. Of a larger one
the other side sends what is missing, if it knows but one vertex of this side."""
PATIENCE_MS: Final = 10_000
"""Whoever is ahead waits this long for the other side to ask; whoever is behind waits this long
while vertices keep arriving, because what it lacks is most likely among them."""


@dataclass(slots=True, eq=False)
class _Side:
    """What is known of a peer's store."""

    fresh: bool = True
    """No HEADS were exchanged on this connection."""
    digest: Digest | None = None
    unequal_ms: int = -1
    """Since when digests differ, -1 while they are equal."""
    asked_ms: int = -1
    awaited: bool = False
    """HEADS were sent, and none have come back."""
    rounds: int = 0
    """Exchanges since the last vertex came or digests were equal."""
    sent_ms: int = -1
    """When vertices were last sent for HEADS."""


class Reconciliation:
    """The digests of all peers, and at most one exchange at a time that this node asked for."""

    def __init__(
        self,
        outbox: Outbox,
        peers: Peers,
        intake: Intake,
        fetching: Fetching,
        *,
        timing: Timing,
        is_needed: Callable[[bytes], bool],
        on_silent: Callable[[int, str], None],
    ) -> None:
        self._outbox = outbox
        self._peers = peers
        self._intake = intake
        self._index = intake.index
        self._fetching = fetching
        self._timing = timing
        self._is_needed = is_needed
        self._on_silent = on_silent
        self._sides: dict[str, _Side] = {}
        self._session = ""
        """The peer this node is catching up from."""
        self._stalled_ms = 0
        """When the exchange counts as at its end, unless more comes."""
        self._refs: tuple[Ref, ...] = ()
        self._digest = Digest(compute_heads_digest(()), 0, 0)
        self._stale = True
        self._arrived_ms = -1
        """When the last new vertex came from a peer."""
        self._sent: Digest | None = None
        self._sent_ms = 0
        self._history: list[tuple[int, int]] = []
        self._due_ms: int | None = None
        self._is_due_known = True

    def changed(self, now_ms: int) -> None:
        """The store has grown."""
        self._stale = True
        self._is_due_known = False
        history = self._history
        if not history or now_ms - history[-1][0] >= self._timing.unequal_ms // HISTORY_STEPS:
            history.append((now_ms, len(self._index)))
            del history[: -2 * LAG_FACTOR * HISTORY_STEPS]

    @property
    def digest(self) -> Digest:
        """What this node holds."""
        self._refresh()
        return self._digest

    @property
    def heads(self) -> tuple[Ref, ...]:
        """The heads that equal stores agree on, ascending."""
        self._refresh()
        return self._refs

    def _refresh(self) -> None:
        if self._stale:
            index = self._index
            self._refs = self._intake.heads.collect_digest_refs(index, self._intake.authors)
            self._digest = Digest(compute_heads_digest(self._refs), len(index), index.lamport_max)
            self._stale = False

    def add_peer(self, now_ms: int, peer: str) -> None:
        """Compare with a new connection at once."""
        self._sides[peer] = _Side()
        self._is_due_known = False
        self._outbox.send((peer,), self.digest)
        if len(self._sides) == 1:
            self._sent_ms = now_ms

    def drop_peer(self, peer: str) -> None:
        """A connection has ended."""
        self._sides.pop(peer, None)
        self._is_due_known = False
        if self._session == peer:
            self._session = ""

    def note_progress(self, now_ms: int, peer: str) -> None:
        """A peer sent something new."""
        self._sides[peer].rounds = 0
        self._arrived_ms = now_ms
        self._is_due_known = False
        if self._session == peer:
            self._stalled_ms = now_ms + self._timing.get_ms

    def on_digest(self, now_ms: int, peer: str, digest: Digest) -> None:
        """Take a peer's digest, and act at once on a fresh connection."""
        side = self._sides[peer]
        side.digest = digest
        self._is_due_known = False
        if digest.heads == self.digest.heads:
            side.unequal_ms = -1
            side.rounds = 0
            side.fresh = False
            if self._session == peer:
                self._session = ""
        elif side.unequal_ms < 0:
            side.unequal_ms = now_ms
        self.tick(now_ms)

    def on_heads(self, now_ms: int, peer: str, message: Heads) -> None:
        """Answer HEADS; send what lies above what the peer holds, fetch what cannot be placed."""
        side = self._sides[peer]
        fresh, side.fresh = side.fresh, False
        side.awaited = False
        self._is_due_known = False
        known = [ref.id for ref in message.heads if ref.id in self._index]
        unknown = [ref.id for ref in message.heads if self._is_needed(ref.id)]
        if message.reply:
            self._outbox.send((peer,), self._make_heads(reply=False))
        if known or not message.heads:
            self._send_missing(now_ms, peer, known, message.digest.count, fresh=fresh)
        small = not known and message.digest.count <= WALK_AT_ONCE_MAX
        if unknown and (small or side.rounds >= WALK_AFTER_ROUNDS):
            self._fetching.want(peer, unknown, now_ms)
        self.on_digest(now_ms, peer, message.digest)

    def _send_missing(
        self, now_ms: int, peer: str, known: list[bytes], theirs: int, *, fresh: bool
    ) -> None:
        """Send what the peer lacks, but for what is under way to it anyhow."""
        side = self._sides[peer]
        if side.sent_ms >= 0 and now_ms - side.sent_ms < self._timing.unequal_ms:
            return
        side.sent_ms = now_ms
        index = self._index
        lacking = index.collect_ancestors(
            [ref.id for ref in self.heads], exclude=known, count_max=TRANSFER_IDS_MAX
        )
        settled = len(index) if fresh else self._get_settled(now_ms, theirs)
        ids = [ref.id for ref in lacking if self._get_position(ref.id) < settled]
        if ids:
            self._outbox.send_stored(peer, 0, tuple(ids))

    def _get_settled(self, now_ms: int, theirs: int) -> int:
        """How many vertices have had the time to reach a peer that holds `theirs` of them by push.

        While the store grows, a peer that lags holds about as many as this node did a while ago: what
        came since is on its way to it. Beyond some time it must be lost.
        """
        push_ms = self._timing.unequal_ms
        settled = self._count_stored(now_ms - push_ms)
        if settled < len(self._index):
            settled = min(settled, max(theirs, self._count_stored(now_ms - LAG_FACTOR * push_ms)))
        return settled

    def _count_stored(self, until_ms: int) -> int:
        """How many vertices were stored by then."""
        count = len(self._index)
        for at_ms, count_then in reversed(self._history):
            if at_ms > until_ms:
                count = count_then - 1
        return count

    def _get_position(self, vertex_id: bytes) -> int:
        entry = self._index.get(vertex_id)
        assert entry is not None, "the walk gives what is held"
        return entry.position

    def _make_heads(self, *, reply: bool) -> Heads:
        refs = {ref.id: ref for ref in self.heads[-HEADS_MAX // 2 :]}
        distance = 1
        lamport = self._index.lamport_max - distance
        while lamport > self._index.horizon and len(refs) < HEADS_MAX:
            ref = next(self._index.iterate(lamport)).ref
            refs[ref.id] = ref
            distance *= 2
            lamport -= distance
        return Heads(tuple(sorted(refs.values())), self.digest, reply)

    def tick(self, now_ms: int) -> None:
        """Compare, ask, and tell, as far as it is due."""
        due_ms = self.next_deadline()
        if due_ms is None or now_ms < due_ms:
            return
        self._is_due_known = False
        self._tell(now_ms)
        if self._session:
            if now_ms < self._stalled_ms:
                return
            self._session = ""
        candidates = [
            (self._sides[peer].asked_ms, peer)
            for peer, due_ms in self._collect_due()
            if due_ms <= now_ms
        ]
        if candidates:
            self._ask(now_ms, min(candidates)[1])

    def _ask(self, now_ms: int, peer: str) -> None:
        side = self._sides[peer]
        if side.awaited:
            self._on_silent(now_ms, peer)
        side.awaited = True
        side.asked_ms = now_ms
        side.rounds += 1
        self._session = peer
        self._stalled_ms = now_ms + self._timing.unequal_ms
        self._outbox.send((peer,), self._make_heads(reply=True))

    def _collect_due(self) -> list[tuple[str, int]]:
        """The peers there is a reason to ask for HEADS, and when."""
        return [
            (peer, self._get_due(theirs, side))
            for peer, side in self._sides.items()
            if side.unequal_ms >= 0
            and (theirs := side.digest) is not None
            and self._is_unequal(theirs)
        ]

    def _is_unequal(self, theirs: Digest) -> bool:
        """Whether stores still differ that differed when the peer told of its own.

        Without forks, unequal counts say so; the heads of a store that grows are not digested.
        """
        counts_differ = theirs.count != len(self._index)
        if counts_differ and not self._intake.authors.has_forks:
            return True
        return theirs.heads != self.digest.heads

    def _is_behind(self, theirs: Digest) -> bool:
        count, lamport = len(self._index), self._index.lamport_max
        if (lamport, count) == (theirs.lamport, theirs.count):
            return self.digest.heads < theirs.heads
        return count < theirs.count or lamport < theirs.lamport

    def _get_due(self, theirs: Digest, side: _Side) -> int:
        """When to ask a peer for HEADS."""
        since_ms = max(side.unequal_ms, side.asked_ms)
        if not self._is_behind(theirs):
            return since_ms + PATIENCE_MS
        if side.fresh and side.asked_ms < 0:
            return since_ms
        quiet_ms = max(since_ms, self._arrived_ms) + self._timing.unequal_ms
        return min(quiet_ms, since_ms + PATIENCE_MS)

    def _tell(self, now_ms: int) -> None:
        due_ms = self._get_tell_due()
        if due_ms is not None and due_ms <= now_ms:
            self._sent = self.digest
            self._sent_ms = now_ms
            self._outbox.send(self._peers.ready_names, self.digest)

    def _get_tell_due(self) -> int | None:
        if not self._sides:
            return None
        changed = self._stale or self._sent != self._digest
        period_ms = self._timing.digest_changed_ms if changed else self._timing.digest_idle_ms
        return self._sent_ms + period_ms

    def next_deadline(self) -> int | None:
        """When `tick` has something to do; every input asks, so the answer is kept."""
        if not self._is_due_known:
            self._due_ms = self._find_deadline()
            self._is_due_known = True
        return self._due_ms

    def _find_deadline(self) -> int | None:
        deadlines = [due_ms for due_ms in (self._get_tell_due(),) if due_ms is not None]
        if self._session:
            deadlines.append(self._stalled_ms)
        else:
            deadlines += [due_ms for _, due_ms in self._collect_due()]
        return min(deadlines, default=None)
