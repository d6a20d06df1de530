"""The one door of the kernel: vertices in, commits out.

It is fed every lane-1 vertex in the order of admission, parents first, and answers what each one
is. `advance` gives the commits that follow. The same set of vertices gives the same commits,
whatever the order they came in and however often `advance` was called between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from consensus.block import GENESIS_ROUND, Block
from consensus.block_store import BlockStore
from consensus.commits import CommitHead, append_commit, compute_median_ms, get_head
from consensus.committee import Committee
from consensus.committer import FIRST_SLOT, Committer
from consensus.decision import Decision, Slot
from consensus.errors import InvalidBlock
from consensus.leader import LeaderSchedule
from consensus.linearizer import Linearizer, OrderKey, by_round
from consensus.payload import PayloadOrder
from consensus.validity import (
    FOREIGN_RULES,
    FutureEpoch,
    PayloadIndex,
    judge_ancestors,
    judge_bytes,
)
from dag.index import Index
from dag.order import Commit
from dag.vertex import SignedVertex

GC_DEPTH_ROUNDS: Final = 60
RETAINED_ROUNDS: Final = 60
"""Rounds below the horizon that are kept, so that a late block is still judged by its parents."""


class Accepted(msgspec.Struct, frozen=True):
    """A valid block; it counts from now on. `twin_of` is the first block held of its slot."""

    block: Block
    twin_of: Block | None = None


class Inert(msgspec.Struct, frozen=True):
    """It breaks a rule: stored and passed on, and without any effect."""

    error: InvalidBlock


class Later(msgspec.Struct, frozen=True):
    """Of an epoch that has not begun: to be offered again to that epoch's ordering."""


class Dropped(msgspec.Struct, frozen=True):
    """Held already, or so old that it can have no effect. Nobody's offence."""


Verdict = Accepted | Inert | Later | Dropped


class EpochStart(msgspec.Struct, frozen=True):
    """What an ordering starts from; the defaults are the start of a network's first epoch."""

    head: CommitHead = CommitHead()
    cursor: Slot = FIRST_SLOT
    last_leader_round: int = GENESIS_ROUND
    """Of the commit before the first that is made, or replayed."""
    floor: int = GENESIS_ROUND
    floor_lamport: int = 0
    ordered: tuple[bytes, ...] = ()
    """Leaders of the last commits before: their histories have been put out already."""


class Ordering:
    """Consensus over the blocks of one epoch."""

    def __init__(
        self,
        network: bytes,
        committee: Committee,
        schedule: LeaderSchedule,
        *,
        index: PayloadIndex | None = None,
        payload: PayloadOrder | None = None,
        start: EpochStart | None = None,
        gc_depth: int | None = GC_DEPTH_ROUNDS,
        order: OrderKey = by_round,
    ) -> None:
        """`index` holds the lane-0 vertices; `payload` is handed on from the epoch before."""
        start = start or EpochStart()
        self._network = network
        self._index: PayloadIndex = Index() if index is None else index
        self._payload = payload or PayloadOrder(self._index, gc_commits=1_000)
        self._store = BlockStore(committee, floor=start.floor, floor_lamport=start.floor_lamport)
        self._schedule = schedule
        self._committer = Committer(self._store, schedule, cursor=start.cursor)
        self._linearizer = Linearizer(
            self._store,
            gc_depth=gc_depth,
            order=order,
            last_leader_round=start.last_leader_round,
        )
        self._head = start.head
        self._ordered = start.ordered

    @property
    def store(self) -> BlockStore:
        """The blocks held; read-only for all but this class."""
        return self._store

    @property
    def head(self) -> CommitHead:
        """The last commit."""
        return self._head

    @property
    def cursor(self) -> Slot:
        """The next slot to be decided in the sequence."""
        return self._committer.cursor

    @property
    def horizon(self) -> int:
        """Blocks of this round and below are not put out any more."""
        return self._linearizer.horizon

    def list_pending(self) -> tuple[Decision, ...]:
        """Slots behind the sequence, as they are now."""
        return self._committer.list_pending()

    def add(self, signed: SignedVertex) -> Verdict:
        """Judge an admitted lane-1 vertex and take it in if it is a valid block. Never raises."""
        store = self._store
        if store.get(signed.id) is not None or store.is_inert(signed.id):
            return Dropped()
        try:
            block = judge_bytes(signed, self._network, store.committee)
            judge_ancestors(block, store, self._index, self._ordered)
        except FutureEpoch:
            return Later()
        except InvalidBlock as error:
            # What no member of this epoch said cannot be mistaken for a block of it.
            if error.rule not in FOREIGN_RULES:
                store.mark_inert(signed.ref)
            return Inert(error)
        return self.insert(block)

    def insert(self, block: Block) -> Verdict:
        """Take in a block that was judged before, as on replay from the own log."""
        slot = self._store.get_slot(block.round, block.author)
        twin_of = slot[0].block if slot else None
        if self._store.add(block) is None:
            return Dropped()
        self._committer.touch(block)
        return Accepted(block, twin_of)

    def replay(self, leaders: Iterable[bytes]) -> None:
        """Take the commits of these leaders, in order, as made: what they put out stays out.

        For a start behind a certified commit, after the blocks above the floor were inserted. The
        payload's own order is handed over as it was.
        """
        for block_id in leaders:
            leader = self._store.get(block_id)
            assert leader is not None, "the blocks above the floor are inserted first"
            self._linearizer.commit(leader)

    def advance(self) -> Iterator[tuple[Decision, Commit | None]]:
        """Every slot decided since, in order, with its commit where it is not skipped.

        What is not taken from the iterator stays for the next. Raises `BrokenFaultBound` if more
        stake lies than the profile bears.
        """
        while (decision := self._committer.take_next()) is not None:
            yield decision, None if decision.block is None else self._commit(decision.block)

    def _commit(self, leader: Block) -> Commit:
        sub_dag = self._linearizer.commit(leader)
        speech = self._payload.commit(leader.id, sub_dag.payload)
        blocks = tuple(block.ref for block in sub_dag.blocks)
        median_ms = compute_median_ms(self._store, leader)
        # Blocks stand on what they carry, so what they carry comes first.
        commit = append_commit(self._head, leader.id, (*speech, *blocks), median_ms)
        self._head = get_head(commit)
        if self._schedule.observe(leader, sub_dag.blocks, commit.digest):
            self._committer.forget_decisions()
        if sub_dag.horizon > RETAINED_ROUNDS:
            self._store.prune(sub_dag.horizon - RETAINED_ROUNDS)
        return commit
