"""The committer: the longest prefix of decided leader slots, in slot order.

It keeps what was decided and looks again only at slots that a new block can decide. It hands out
one decision at a time, because a commit may change who leads the rounds above it: then everything
decided behind that commit is thrown away and decided afresh.
"""

from __future__ import annotations

from typing import Final

from consensus.block import GENESIS_ROUND, Block
from consensus.block_store import BlockStore
from consensus.decision import Decision, Slot, Status, decide_by_anchor, decide_directly
from consensus.leader import LeaderSchedule

FIRST_SLOT: Final = Slot(GENESIS_ROUND + 1, 0)


class Committer:
    """Decides the slots of one epoch over a store of its blocks."""

    def __init__(
        self, store: BlockStore, schedule: LeaderSchedule, *, cursor: Slot = FIRST_SLOT
    ) -> None:
        self._store = store
        self._schedule = schedule
        self._wave = store.committee.thresholds.wave
        self._cursor = cursor
        self._decided: dict[Slot, Decision] = {}
        self._leaders: dict[int, tuple[int, ...]] = {}
        self._dirty: dict[int, None] = {}
        self._fresh = False
        """Whether something was decided since the last look for anchors."""
        self.forget_decisions()

    @property
    def cursor(self) -> Slot:
        """The next slot to be handed out; skipped slots and offsets count."""
        return self._cursor

    @property
    def undecided_count(self) -> int:
        """How many slots with blocks above them wait for their decision."""
        return sum(decision.status == Status.UNDECIDED for decision in self.list_pending())

    def touch(self, block: Block) -> None:
        """Take note of a block that entered the store: slots up to two rounds below may decide."""
        for round_ in range(block.round - self._wave + 1, block.round):
            if round_ >= self._cursor.round:
                self._dirty[round_] = None

    def forget_decisions(self) -> None:
        """Decide everything behind the cursor afresh, as after a change of leaders."""
        self._decided.clear()
        self._leaders.clear()
        self._fresh = False
        for round_ in range(self._cursor.round, self._store.highest_round):
            self._dirty[round_] = None

    def take_next(self) -> Decision | None:
        """Hand out the decision of the slot at the cursor and move on; None while it is open.

        Raises `BrokenFaultBound` if a slot is decided two ways.
        """
        self._decide()
        while self._cursor.round < self._store.highest_round:
            round_, offset = self._cursor
            if offset >= len(self._get_leaders(round_)):
                self._leaders.pop(round_, None)
                self._cursor = Slot(round_ + 1, 0)
                continue
            decision = self._decided.pop(self._cursor, None)
            if decision is not None:
                self._cursor = Slot(round_, offset + 1)
            return decision
        return None

    def list_pending(self) -> tuple[Decision, ...]:
        """Slots at and behind the cursor as far as blocks stand above them, as they are now."""
        return tuple(
            self._decided.get(slot) or Decision(slot, author, Status.UNDECIDED)
            for slot, author in self._list_slots()
        )

    def _get_leaders(self, round_: int) -> tuple[int, ...]:
        leaders = self._leaders.get(round_)
        if leaders is None:
            leaders = self._leaders[round_] = self._schedule.get_leaders(round_)
        return leaders

    def _list_slots(self) -> list[tuple[Slot, int]]:
        return [
            (Slot(round_, offset), author)
            for round_ in range(self._cursor.round, self._store.highest_round)
            for offset, author in enumerate(self._get_leaders(round_))
            if (round_, offset) >= self._cursor
        ]

    def _decide(self) -> None:
        for round_ in self._dirty:
            self._decide_round(round_)
        self._dirty.clear()
        if self._fresh:
            self._fresh = False
            self._resolve()

    def _decide_round(self, round_: int) -> None:
        for offset, author in enumerate(self._get_leaders(round_)):
            slot = Slot(round_, offset)
            if slot < self._cursor or slot in self._decided:
                continue
            decision = decide_directly(self._store, slot, author)
            if decision is not None:
                self._decided[slot] = decision
                self._fresh = True

    def _resolve(self) -> None:
        """Decide open slots by anchors, from the highest down, so that anchors decide anchors."""
        slots = self._list_slots()
        # ends[i]: the first slot from i on that is not skipped; past the end for none.
        ends = [len(slots)] * (len(slots) + 1)
        behind = len(slots)
        for position in range(len(slots) - 1, -1, -1):
            slot, author = slots[position]
            while behind > 0 and slots[behind - 1][0].round >= slot.round + self._wave:
                behind -= 1
            decision = self._decided.get(slot)
            if decision is None and ends[behind] < len(slots):
                anchor = self._decided.get(slots[ends[behind]][0])
                if anchor is not None and anchor.block is not None:
                    decision = decide_by_anchor(self._store, slot, author, anchor.block)
                    self._decided[slot] = decision
            skipped = decision is not None and decision.status == Status.SKIP
            ends[position] = ends[position + 1] if skipped else position
