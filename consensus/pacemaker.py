"""When a validator makes its next block: the rules that keep the order live.

Safety never depends on anything here. A round is entered once a quorum of the round below is held
and the own block of the round below exists; rounds are left out only where every slot up to them is
decided, so no undecided slot ever lacks the own vote. A block is made when nothing is missing
below it (C1), when the round has lasted too long (C2), or when a quorum is there already (C3).

A mesh without payload makes no blocks. Whoever has payload wakes the others by a block, and
nobody refers to payload before blocks show fresh times, so that no deadline meets a stale one.

The caller tells what happens, with the time, and asks `propose` after it; it makes, signs and
stores the block, offers it to the ordering, and only then tells `on_own` and sends it. Where
`propose` answers None, nothing is to be done before `next_deadline`, or before something happens.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.block import GENESIS_ROUND, Block
from consensus.commits import find_median_ms
from consensus.leader import LeaderSchedule
from consensus.ordering import Ordering
from consensus.proposal import Proposal, Tips, choose_parents, is_complete
from consensus.unordered import Unordered
from dag.order import Commit


class PacemakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How fast rounds follow each other. Each node may choose its own."""

    leader_timeout_ms: int = 400
    """Wait this long in a round for its leader: twice the longest delay to be expected."""
    minimum_delay_ms: int = 50
    """Between two own blocks."""
    stale_ms: int = 2_000
    """Payload is referenced while the parents' median time is this close to the own clock."""
    recovery_ms: int = 2_000
    """After a start, once all that must be live have answered, wait so long for one answer more."""


class Pacemaker:
    """Says when the validator `author`, a position in the committee, makes a block."""

    def __init__(
        self,
        ordering: Ordering,
        schedule: LeaderSchedule,
        author: int,
        *,
        settings: PacemakerSettings | None = None,
        now_ms: int = 0,
        must_ask: bool = True,
    ) -> None:
        """Begin with nothing known of own blocks.

        Args:
            ordering: Read only: its store, cursor, horizon and head. Offer it every block first.
            schedule: The one the ordering uses.
            author: Own position in the committee.
            settings: Delays.
            now_ms: The time, on the clock that all later times are read from.
            must_ask: Whether peers are to be asked for own blocks first. Always in a node; False
                where it is certain that this identity has never made a block elsewhere.
        """
        self._ordering: Final = ordering
        self._store: Final = ordering.store
        self._committee: Final = ordering.store.committee
        self._schedule: Final = schedule
        self._author: Final = author
        self._settings: Final = settings or PacemakerSettings()
        self._tips: Final = Tips()
        self._unordered: Final = Unordered()
        self._own: Block | None = None
        self._own_ms: int | None = None
        """When the own last block was made here."""
        self._is_making = False
        self._is_stopped = False
        self._is_recovering = must_ask
        self._answered = 0
        self._recovered_ms: int | None = None
        """When to do with the answers there are."""
        self._connected = 1 << author
        self._has_payload = False
        self._due_ms: int | None = None
        self._entered_round = GENESIS_ROUND
        self._entered_ms = now_ms
        self._end_recovery(now_ms)
        self._enter(now_ms)

    @property
    def round(self) -> int:
        """The round of the next own block."""
        return max(self.own_round + 1, self._ordering.cursor.round)

    @property
    def entered_round(self) -> int:
        """The last round that was entered; peers are to be brought up to date when it changes."""
        return self._entered_round

    @property
    def own_round(self) -> int:
        """Round of the own last block, 0 for none."""
        return GENESIS_ROUND if self._own is None else self._own.round

    @property
    def is_recovering(self) -> bool:
        """Whether too few peers have said what the own last block is."""
        return self._is_recovering

    @property
    def is_stopped(self) -> bool:
        """Whether a block was seen that the own keys signed elsewhere: none is made any more."""
        return self._is_stopped

    @property
    def is_connected(self) -> bool:
        """Whether a quorum would receive a block now."""
        return self._committee.weigh(self._connected) >= self._committee.thresholds.quorum

    def is_awake(self, now_ms: int) -> bool:
        """Whether there is anything to order: payload, a due deadline, or others who go ahead."""
        return (
            self._has_payload
            or self._unordered.carriers > 0
            or self._store.highest_round > self.own_round
            or (self._due_ms is not None and self._due_ms <= now_ms)
        )

    # --- what happens ---------------------------------------------------------------------------

    def on_started(self, now_ms: int) -> None:
        """The own log has been replayed, at no time in particular: to be waited for is from now on."""
        self._recovered_ms = None
        self._end_recovery(now_ms)

    def on_block(self, now_ms: int, block: Block) -> None:
        """A block was accepted that was not made here in this life, as on replay of the own log."""
        if block.author == self._author:
            self._adopt(block)
        self._note(now_ms, block)

    def on_own(self, now_ms: int, block: Block) -> None:
        """The proposed block was made, is durable, and was accepted."""
        self._is_making = False
        self._own = block
        self._own_ms = now_ms
        self._note(now_ms, block)

    def on_abandoned(self) -> None:
        """The proposed block was not made, and nothing of it left the node."""
        self._is_making = False

    def on_commit(self, now_ms: int, commit: Commit) -> None:
        """The ordering has put out a commit."""
        self._unordered.take_history(commit.leader)
        horizon = self._ordering.horizon
        self._unordered.drop_below(horizon)
        self._tips.drop_below(horizon)
        if self._due_ms is not None and commit.time_ms >= self._due_ms:
            self._due_ms = None
        self._enter(now_ms)

    def on_connected(self, now_ms: int, authors: int) -> None:
        """These validators, as bits, receive what is sent now; the own bit is implied."""
        self._connected = authors | 1 << self._author
        self._enter(now_ms)

    def on_answered(self, now_ms: int, author: int) -> None:
        """A validator has named our last block, and what it named has been accepted here."""
        self._answered |= 1 << author
        self._end_recovery(now_ms)
        self._enter(now_ms)

    def on_payload(self, *, is_waiting: bool) -> None:
        """Whether there are lane-0 vertices that no block held refers to."""
        self._has_payload = is_waiting

    def on_deadline(self, due_ms: int | None) -> None:
        """State machines want a commit of this time or later; None if they want none."""
        self._due_ms = due_ms

    # --- what is to be done ---------------------------------------------------------------------

    def propose(self, now_ms: int) -> Proposal | None:
        """The block to make now; the next is proposed once this is made or abandoned."""
        self._end_recovery(now_ms)
        self._enter(now_ms)
        if not self.is_awake(now_ms) or not self._may_make() or now_ms < self._compute_ready_ms():
            return None
        round_ = self._entered_round
        parents = choose_parents(
            self._store, self._schedule, self._tips, round_, author=self._author, own=self._own
        )
        self._is_making = True
        behind_ms = now_ms - find_median_ms(self._store, round_, parents)
        is_fresh = abs(behind_ms) <= self._settings.stale_ms
        seen = self._unordered.collect_payload(parents)
        return Proposal(round_, self.own_round, parents, self._has_payload and is_fresh, seen)

    def next_deadline(self, now_ms: int) -> int | None:
        """When to ask again if nothing happens before; None if only an event can change anything.

        It has passed already where `propose` would answer with a block.
        """
        if self._is_recovering:
            return self._recovered_ms
        if not self._may_make():
            return None
        if not self.is_awake(now_ms):
            return self._due_ms
        return self._compute_ready_ms()

    # --- rules ----------------------------------------------------------------------------------

    def _may_make(self) -> bool:
        barred = self._is_stopped or self._is_recovering or self._is_making
        return not barred and self.is_connected and self._entered_round == self.round

    def _compute_ready_ms(self) -> int:
        """When the block of the entered round may be made, as things stand."""
        settings, round_ = self._settings, self._entered_round
        if self._has_quorum(round_):
            return self._entered_ms
        ready_ms = self._entered_ms
        if not is_complete(self._store, self._schedule, round_):
            ready_ms += settings.leader_timeout_ms
        if self._own_ms is None:
            return ready_ms
        return max(ready_ms, self._own_ms + settings.minimum_delay_ms)

    def _has_quorum(self, round_: int) -> bool:
        stake = self._committee.weigh(self._store.get_authors(round_))
        return stake >= self._committee.thresholds.quorum

    def _enter(self, now_ms: int) -> None:
        round_ = self.round
        if round_ == self._entered_round:
            return
        if round_ - 1 == GENESIS_ROUND or self._has_quorum(round_ - 1):
            self._entered_round = round_
            self._entered_ms = now_ms

    def _note(self, now_ms: int, block: Block) -> None:
        if block.round > self._ordering.horizon:
            self._tips.add(block)
            self._unordered.add(block)
        self._enter(now_ms)

    def _adopt(self, block: Block) -> None:
        """Build above what earlier lives made; once this life makes blocks, any other is a twin."""
        twins = self._store.get_slot(block.round, block.author)
        if self._is_making or self._own_ms is not None or len(twins) > 1:
            self._is_stopped = True
        elif block.round > self.own_round:
            self._own = block

    def _end_recovery(self, now_ms: int) -> None:
        """Go on once others with more than the faulty stake have answered, or all there are.

        Where the faulty may leave fewer than that, those who must be live are enough after a while:
        two of three may be all there are, and of unequal stakes the largest may be the own.
        """
        if not self._is_recovering:
            return
        committee, faulty = self._committee, self._committee.profile.faulty
        others = committee.total_stake - committee.get_stake(self._author)
        answered = committee.weigh(self._answered & ~(1 << self._author))
        if self._recovered_ms is None and answered >= others - faulty:
            self._recovered_ms = now_ms + self._settings.recovery_ms
        is_late = self._recovered_ms is not None and now_ms >= self._recovered_ms
        if is_late or answered >= min(others, faulty + 1):
            self._is_recovering = False
