"""Comparing whole stores, and closing the difference.

    DIGEST     what I hold, in 48 bytes; regularly, in every PONG, and at once on a new connection
    HEADS      sent by whoever seems to be behind; answered with HEADS
    PUSH       who knows all that HEADS names sends what lies above it and below its own heads
    RANGES     where both sides lack something, whoever asked finds out what
    GET        fetches that; and where all this leads to nothing, the heads, and their parents after

Stores are ancestor-closed, so knowing one vertex of the other side means knowing that it holds all
below; HEADS therefore carries, beside the heads, a few vertices at ever wider distances below. Where
ranges may not be compared, what lies above the known ones is sent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dag.heads import compute_heads_digest
from dag.index import NOWHERE
from dag.types import Horizon
from meshnode.core.fetching import SESSION_DEPTH_MAX
from meshnode.core.messages import HEADS_MAX, Digest, Heads, Ranges
from meshnode.core.range_answers import RangeAnswers
from meshnode.core.range_sync import RangeSync
from meshnode.core.sync_budget import SyncBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dag.intake import Intake
    from dag.types import Ref
    from meshnode.core.fetching import Fetching
    from meshnode.core.outbox import Outbox
    from meshnode.core.peers import Peers
    from meshnode.core.requests import Offend
    from meshnode.core.settings import Timing

TRANSFER_IDS_MAX: Final = 16_384
"""Vertices sent for one HEADS; the next digest shows what is still missing."""
WALK_AFTER_ROUNDS: Final = 2
"""Fruitless exchanges with a peer after which its heads are fetched one by one."""
UNSERVED_MAX: Final = 2
"""GETs that a peer may leave open, with nothing new from it meanwhile."""
BACK_OFF_MS: Final = 60_000
"""For so long what such a peer says of its heads leads to nothing."""
SESSION_MS: Final = 60_000
"""An exchange that goes on and on ends then, and other peers have their turn."""
HISTORY_STEPS: Final = 8
"""Into how many steps the time is cut that a push is given to arrive."""
LAG_FACTOR: Final = 5
"""A push to a peer that lags takes at most so many times as long as one to a peer that does not."""
WALK_AT_ONCE_MAX: Final = 64
"""Where neither side holds more and nothing in common is known, all heads are fetched at once."""
PATIENCE_MS: Final = 10_000
"""Whoever is ahead waits this long for the other side to ask; whoever is behind waits this long
while vertices keep arriving, because what it lacks is most likely among them."""


@dataclass(slots=True, eq=False)
class _Side:
    """What is known of a peer's store."""

    fresh: bool = True
    """No HEADS were exchanged on this connection."""
    is_new: bool = False
    """Those that came last were the first on this connection: nothing is under way to this peer."""
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
    floor: Horizon = NOWHERE
    """It needs nothing at or below."""
    arrived: int = 0
    """How many vertices it held when it was last sent some for HEADS."""
    arriving: int = 0
    """How many it will hold once all that was sent for HEADS has come."""
    unserved: int = 0
    """GETs it left open since something new came from it."""
    heeded_ms: int = 0
    """Its heads lead to nothing before."""
    sent: dict[bytes, None] = field(default_factory=dict)
    """What was sent for HEADS and may still be on its way."""


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
        is_paused: Callable[[], bool],
        on_silent: Callable[[int, str], None],
        offend: Offend,
    ) -> None:
        """`is_paused`: whether nothing is to be compared or told now."""
        self._outbox = outbox
        self._peers = peers
        self._intake = intake
        self._index = intake.index
        self._fetching = fetching
        self._timing = timing
        self._is_needed = is_needed
        self._is_paused = is_paused
        self._on_silent = on_silent
        self._budget = SyncBudget()
        self._range_answers = RangeAnswers(outbox, intake.index, offend)
        self._range_sync = RangeSync(
            outbox,
            intake.index,
            fetching,
            answer_ms=timing.get_ms,
            is_needed=is_needed,
            push=self._send_lacked,
            offend=offend,
        )
        self._sides: dict[str, _Side] = {}
        self._session = ""
        """The peer this node is catching up from."""
        self._session_end_ms = 0
        self._session_count = 0
        """How many vertices that peer held to be compared when it was asked."""
        self._stalled_ms = 0
        """When the exchange counts as at its end, unless more comes."""
        self._refs: tuple[Ref, ...] = ()
        self._digest = Digest(compute_heads_digest(()), 0, 0)
        self._stale = True
        self._horizon = NOWHERE
        """Where it stood when the digest was made."""
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
            history.append((now_ms, self._index.admitted))
            del history[: -2 * LAG_FACTOR * HISTORY_STEPS]

    @property
    def digest(self) -> Digest:
        """What this node holds."""
        self._refresh()
        return self._digest

    def find_peer_lamport(self) -> int:
        """The highest lamport that at least half of the peers say they hold; 0 without any.

        No single peer can make it larger than what an honest one holds, where most are honest.
        """
        said = sorted(side.digest.lamport for side in self._sides.values() if side.digest)
        return said[len(said) // 2] if said else 0

    @property
    def heads(self) -> tuple[Ref, ...]:
        """The heads that equal stores agree on, ascending."""
        self._refresh()
        return self._refs

    def _refresh(self) -> None:
        index = self._index
        if self._stale or index.horizon != self._horizon:
            self._refs = self._intake.heads.collect_digest_refs(index, self._intake.authors)
            count = index.count_above
            self._digest = Digest(compute_heads_digest(self._refs), count, index.lamport_max)
            self._stale, self._horizon = False, index.horizon

    def add_peer(self, now_ms: int, peer: str) -> None:
        """Compare with a new connection at once."""
        self._sides[peer] = _Side()
        self._is_due_known = False
        self._outbox.send((peer,), self.digest)
        if len(self._sides) == 1:
            self._sent_ms = now_ms

    def note_floor(self, peer: str, floor: Horizon) -> None:
        """A peer needs nothing at or below its floor."""
        self._sides[peer].floor = floor

    def drop_peer(self, peer: str) -> None:
        """A connection has ended."""
        self._sides.pop(peer, None)
        self._range_answers.drop_peer(peer)
        self._range_sync.drop_peer(peer)
        self._is_due_known = False
        if self._session == peer:
            self._session = ""

    def note_progress(self, now_ms: int, peer: str, *, asked: bool = False) -> None:
        """A peer sent something new: what it was asked for, or by itself."""
        side = self._sides[peer]
        side.rounds = side.unserved = side.heeded_ms = 0
        self._arrived_ms = now_ms
        self._is_due_known = False
        # Whoever has caught up with it gets from it what everybody says, without end.
        if asked or self._index.count_above < self._session_count:
            self._extend(now_ms, peer)

    def on_digest(self, now_ms: int, peer: str, digest: Digest) -> None:
        """Take a peer's digest, and act at once on a fresh connection."""
        side = self._sides[peer]
        side.digest = digest
        self._is_due_known = False
        if digest.heads == self.digest.heads:
            side.unequal_ms = -1
            side.rounds = 0
            side.fresh = False
            self._range_sync.note_equal(peer)
            if self._session == peer:
                self._session = ""
        elif side.unequal_ms < 0:
            side.unequal_ms = now_ms
        self.tick(now_ms)

    def on_heads(self, now_ms: int, peer: str, message: Heads) -> None:
        """Answer HEADS; send what the peer lacks, find out or fetch what this node lacks."""
        side = self._sides[peer]
        side.is_new, side.fresh = side.fresh, False
        side.awaited = False
        self._is_due_known = False
        unknown = self._index.find_unknown(message.heads)
        known = [ref.id for ref in message.heads if ref.id in self._index]
        if message.reply and self._budget.may_answer(now_ms, peer):
            self._outbox.send((peer,), self._make_heads(reply=False, lacks=bool(unknown)))
        if unknown and now_ms >= side.heeded_ms:
            self._close_gap(now_ms, peer, message, known, unknown)
        elif not unknown:
            self._send_missing(now_ms, peer, known, message.digest.count)
        self.on_digest(now_ms, peer, message.digest)

    def _close_gap(
        self, now_ms: int, peer: str, message: Heads, known: list[bytes], unknown: tuple[Ref, ...]
    ) -> None:
        """This node lacks something. Where the peer does too, whoever asked compares ranges."""
        small = not known and max(message.digest.count, self._index.count_above) <= WALK_AT_ONCE_MAX
        walk = small or self._sides[peer].rounds >= WALK_AFTER_ROUNDS
        if message.lacks and not message.reply:
            if not walk and self._range_sync.start(now_ms, peer, unknown):
                self._extend(now_ms, peer)
                return
            walk = True
            if known:
                self._send_missing(now_ms, peer, known, message.digest.count)
        if walk:
            needed = [ref.id for ref in unknown if self._is_needed(ref.id)]
            self._fetching.want(peer, needed, now_ms, depth=SESSION_DEPTH_MAX)

    def _extend(self, now_ms: int, peer: str) -> None:
        """More is to come of an exchange."""
        self._is_due_known = False
        if self._session == peer:
            self._stalled_ms = min(now_ms + self._timing.get_ms, self._session_end_ms)

    def on_ranges(self, now_ms: int, peer: str, message: Ranges) -> None:
        """Answer RANGES, or take an answer."""
        if not message.answer:
            self._range_answers.on_question(now_ms, peer, message)
        elif self._range_sync.on_answer(now_ms, peer, message):
            self._extend(now_ms, peer)

    def on_unserved(self, now_ms: int, peer: str) -> None:
        """A peer left a GET open: whoever does so again and again is not worth asking for a while."""
        self._range_sync.on_unserved(now_ms, peer)
        side = self._sides.get(peer)
        if side is None:
            return  # leaving it open was its last offence
        side.unserved += 1
        if side.unserved >= UNSERVED_MAX:
            side.unserved, side.heeded_ms = 0, now_ms + BACK_OFF_MS
            self._is_due_known = False

    def _send_missing(self, now_ms: int, peer: str, known: list[bytes], theirs: int) -> None:
        """Send what lies above what the peer holds."""
        side = self._sides[peer]
        if side.sent_ms >= 0 and now_ms - side.sent_ms < self._timing.unequal_ms:
            return
        side.sent_ms = now_ms
        # Of much that was sent some comes long before the rest: that is no reason to send it again.
        if not side.arrived < theirs < side.arriving:
            side.sent, side.arriving = {}, theirs
        side.arrived = theirs
        lacking = self._index.collect_ancestors(
            [ref.id for ref in self.heads], exclude=known, above=side.floor
        )
        fresh = [ref for ref in lacking if ref.id not in side.sent][:TRANSFER_IDS_MAX]
        sent = self._send_settled(now_ms, peer, fresh, theirs)
        side.sent.update(dict.fromkeys(sent))
        side.arriving += len(sent)

    def _send_lacked(self, now_ms: int, peer: str, lacked: Iterable[Ref]) -> None:
        """Send what the ranges of a peer lack."""
        side = self._sides[peer]
        assert side.digest is not None, "it came with the HEADS"
        side.sent_ms = now_ms
        held = sorted([ref for ref in lacked if self._is_lacked(side, ref)])
        self._send_settled(now_ms, peer, held, side.digest.count)

    def _is_lacked(self, side: _Side, ref: Ref) -> bool:
        entry = self._index.get(ref.id)
        return entry is not None and ref.lamport > side.floor.get(entry.lane)

    def _send_settled(
        self, now_ms: int, peer: str, refs: Iterable[Ref], theirs: int
    ) -> tuple[bytes, ...]:
        """Send vertices, but for what is under way to the peer anyhow; answers those sent."""
        is_new = self._sides[peer].is_new
        settled = self._index.admitted if is_new else self._get_settled(now_ms, theirs)
        settled_ids = [ref.id for ref in refs if self._get_position(ref.id) < settled]
        ids = self._budget.grant(now_ms, peer, settled_ids, held=len(self._index))
        if ids:
            self._outbox.send_stored(peer, 0, ids)
        return ids

    def _get_settled(self, now_ms: int, theirs: int) -> int:
        """How many vertices have had the time to reach a peer that holds `theirs` of them by push.

        While the store grows, a peer that lags holds about as many as this node did a while ago: what
        came since is on its way to it. Beyond some time it must be lost.
        """
        push_ms, admitted = self._timing.unequal_ms, self._index.admitted
        theirs += admitted - self._index.count_above
        settled = self._count_stored(now_ms - push_ms)
        if settled < admitted:
            settled = min(settled, max(theirs, self._count_stored(now_ms - LAG_FACTOR * push_ms)))
        return settled

    def _count_stored(self, until_ms: int) -> int:
        """How many vertices were stored by then."""
        count = self._index.admitted
        for at_ms, count_then in reversed(self._history):
            if at_ms > until_ms:
                count = count_then - 1
        return count

    def _get_position(self, vertex_id: bytes) -> int:
        entry = self._index.get(vertex_id)
        assert entry is not None, "the walk gives what is held"
        return entry.position

    def _make_heads(self, *, reply: bool, lacks: bool = False) -> Heads:
        refs = {ref.id: ref for ref in self.heads[-HEADS_MAX // 2 :]}
        distance = 1
        lamport = self._index.lamport_max - distance
        while lamport > self._index.horizon.highest and len(refs) < HEADS_MAX:
            ref = next(self._index.iterate(lamport)).ref
            refs[ref.id] = ref
            distance *= 2
            lamport -= distance
        return Heads(tuple(sorted(refs.values())), self.digest, reply, lacks)

    def tick(self, now_ms: int) -> None:
        """Compare, ask, and tell, as far as it is due."""
        due_ms = self.next_deadline()
        if due_ms is None or now_ms < due_ms or self._is_paused():
            return
        self._is_due_known = False
        self._tell(now_ms)
        self._range_sync.tick(now_ms)
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
        self._session_end_ms = now_ms + SESSION_MS
        assert side.digest is not None, "it differs"
        self._session_count = side.digest.count
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

        Where all vertices count, unequal numbers of them say so; the heads of a store that grows are not digested.
        """
        counts_differ = theirs.count != self._index.count_above
        if counts_differ and not self._intake.authors.has_uncounted:
            return True
        return theirs.heads != self.digest.heads

    def _is_behind(self, theirs: Digest) -> bool:
        count, lamport = self._index.count_above, self._index.lamport_max
        if (lamport, count) == (theirs.lamport, theirs.count):
            return self.digest.heads < theirs.heads
        return count < theirs.count or lamport < theirs.lamport

    def _get_due(self, theirs: Digest, side: _Side) -> int:
        """When to ask a peer for HEADS."""
        since_ms = max(side.unequal_ms, side.asked_ms, side.heeded_ms)
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
        told_ms, answered_ms = self._get_tell_due(), self._range_sync.next_deadline()
        deadlines = [due_ms for due_ms in (told_ms, answered_ms) if due_ms is not None]
        if self._session:
            deadlines.append(self._stalled_ms)
        else:
            deadlines += [due_ms for _, due_ms in self._collect_due()]
        return min(deadlines, default=None)
