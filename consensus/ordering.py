"""The one door of the kernel: vertices in, commits out.

It is fed every lane-1 vertex in the order of admission, parents first, and answers what each one
is. `advance` gives the commits that follow. The same set of vertices gives the same commits,
whatever the order they came in and however often `advance` was called between.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from consensus.block import Block
from consensus.block_store import BlockStore
from consensus.commits import CommitHead, append_commit, compute_median_ms, get_head
from consensus.committee import Committee
from consensus.committer import FIRST_SLOT, Committer
from consensus.coverage import PayloadIndex, collect_covered
from consensus.decision import Decision, Slot
from consensus.errors import InvalidBlock
from consensus.floor import Floor, FloorState
from consensus.leader import LeaderSchedule, ReputationState
from consensus.linearizer import Linearizer, LinearizerState, OrderKey, by_round
from consensus.payload import PayloadOrder, PayloadState
from consensus.suspended import Suspended
from consensus.validity import (
    FOREIGN_RULES,
    FutureEpoch,
    judge_ancestors,
    judge_bytes,
)
from dag.canonical import CanonicalDecoder, encode
from dag.index import Index
from dag.order import Commit
from dag.types import Horizon, Ref
from dag.vertex import SignedVertex

GC_DEPTH_ROUNDS: Final = 60
STATE_BYTES_MAX: Final = 268_435_456


class Accepted(msgspec.Struct, frozen=True):
    """A valid block; it counts from now on. `twin_of` is the first block held of its slot."""

    block: Block
    twin_of: Block | None = None


class Inert(msgspec.Struct, frozen=True):
    """It breaks a rule: stored and passed on, and without any effect.

    Where it breaks a rule through its ancestors, that may end when they fall below the floor.
    """

    error: InvalidBlock


class Later(msgspec.Struct, frozen=True):
    """Of an epoch that has not begun: to be offered again to that epoch's ordering."""


class Dropped(msgspec.Struct, frozen=True):
    """Held already, or so old that it can have no effect. Nobody's offence."""

    block: Block | None = None
    """What is too old; its author's next block stands on it all the same."""


Verdict = Accepted | Inert | Later | Dropped


class OrderingState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """All that the next commit depends on beside the blocks above the floor.

    It follows from the sequence of commits alone, never from what one node happens to hold, so that
    a digest of its bytes can be voted for. The defaults are the start of a network's first epoch.
    """

    head: CommitHead = CommitHead()
    cursor: Slot = FIRST_SLOT
    """The slot after the last committed one; skips behind it are decided again."""
    ordered: tuple[bytes, ...] = ()
    """Leaders of the last commits before the epoch: their histories have been put out already."""
    epoch_lamport: int = 0
    """Of the floor when the epoch began: its blocks stand above it."""
    floor: FloorState = FloorState()
    blocks: LinearizerState = LinearizerState()
    schedule: ReputationState | None = None
    payload: PayloadState | None = None


_state_decoder: Final = CanonicalDecoder(
    OrderingState, what="state of the order", bytes_max=STATE_BYTES_MAX
)


def encode_state(state: OrderingState) -> bytes:
    """The canonical bytes of a state."""
    return encode(state)


def decode_state(data: bytes) -> OrderingState:
    """Read a state. Raises `MalformedMessage` or `MessageTooLarge`.

    Its values are those of a certified snapshot: what a quorum voted for is not checked again.
    """
    return _state_decoder.decode(data)


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
        start: OrderingState | None = None,
        gc_depth: int | None = GC_DEPTH_ROUNDS,
        order: OrderKey = by_round,
        on_released: Callable[[Block], None] | None = None,
    ) -> None:
        """Start an epoch, or go on from a frozen state.

        Args:
            network: Whose blocks count.
            committee: Who makes them.
            schedule: Who leads; fresh, for it takes up what `start` says it had learnt.
            index: The lane-0 vertices.
            payload: Handed on from the epoch before; without one it is made from `start`.
            start: After a thaw, the blocks above its floor are then given to `add`.
            gc_depth: Rounds below the last leader that are still put out; None for all.
            order: How blocks are sorted inside a commit.
            on_released: Told of a block that was `Inert` and is accepted now, inside `advance`.

        Raises `MalformedMessage` for a state that packs half an id.
        """
        start = start or OrderingState()
        self._network = network
        self._index: PayloadIndex = Index() if index is None else index
        self._payload = payload or PayloadOrder(self._index, start=start.payload)
        self._floor = Floor(start.floor)
        self._store = BlockStore(
            committee,
            floor=start.floor.round,
            floor_lamport=start.floor.lamport,
            speech_lamport=self._payload.horizon,
            epoch_lamport=start.epoch_lamport,
        )
        self._schedule = schedule
        schedule.restore(start.schedule)
        self._committer = Committer(self._store, schedule, cursor=start.cursor)
        self._linearizer = Linearizer(
            self._store, gc_depth=gc_depth, order=order, start=start.blocks
        )
        self._suspended = Suspended()
        self._on_released = on_released
        self._head = start.head
        self._ordered = start.ordered
        self._committed_cursor = start.cursor

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

    @property
    def payload(self) -> PayloadOrder:
        """The order of lane-0 vertices."""
        return self._payload

    @property
    def floor(self) -> Floor:
        """Which blocks are needed no more; read-only for all but this class."""
        return self._floor

    @property
    def last_leader(self) -> bytes | None:
        """The leader of the commit that the epoch starts from; None in a network's first."""
        return self._ordered[-1] if self._ordered else None

    @property
    def prunable(self) -> Horizon:
        """What nobody needs any more, by lamport: blocks below their floor, and settled payload."""
        return Horizon(self._payload.horizon, self._floor.lamport)

    def freeze(self) -> OrderingState:
        """The state after the last commit, also between two commits of one `advance`."""
        return OrderingState(
            head=self._head,
            cursor=self._committed_cursor,
            ordered=self._ordered,
            epoch_lamport=self._store.epoch_lamport,
            floor=self._floor.freeze(),
            blocks=self._linearizer.freeze(),
            schedule=self._schedule.freeze(),
            payload=self._payload.freeze(),
        )

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
        except FutureEpoch:
            return Later()
        except InvalidBlock as error:
            # What no member of this epoch said cannot be mistaken for a block of it.
            if error.rule not in FOREIGN_RULES:
                store.mark_inert(signed.ref)
            return Inert(error)
        return self.insert(block) if block.round <= store.floor else self._judge(block)

    def insert(self, block: Block) -> Verdict:
        """Take in a block that was judged before, as on replay from the own log."""
        slot = self._store.get_slot(block.round, block.author)
        twin_of = slot[0].block if slot else None
        if self._store.add(block) is None:
            return Dropped(block)
        self._committer.touch(block)
        return Accepted(block, twin_of)

    def _judge(self, block: Block) -> Verdict:
        try:
            judge_ancestors(block, self._store, self._index, self._ordered)
        except InvalidBlock as error:
            self._store.mark_inert(block.ref, block.round)
            self._suspended.add(block, error.release)
            return Inert(error)
        return self.insert(block)

    def _release(self) -> None:
        """Judge again what has waited for the floor to be where it is."""
        store, suspended = self._store, self._suspended
        reached = store.floor, store.floor_lamport, store.speech_lamport
        due = [(block.ref, block) for block in suspended.take_due(*reached)]
        heapq.heapify(due)
        while due:
            _, block = heapq.heappop(due)
            if block.round > store.floor:
                store.unmark_inert(block.id)
                if not isinstance(self._judge(block), Accepted):
                    continue
                if self._on_released is not None:
                    self._on_released(block)
            for child in suspended.take_waiting_for(block.id):
                heapq.heappush(due, (child.ref, child))

    def collect_covered(
        self, payload: Iterable[Ref], round_: int, parents: Iterable[Ref]
    ) -> tuple[Ref, ...]:
        """What a block of a round on these block parents would newly cover, ascending."""
        return collect_covered(
            payload, round_, parents, self._store, self._index, ordered=self._ordered
        )

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
        self._committed_cursor = self._committer.cursor
        if self._schedule.observe(leader, sub_dag.blocks, commit.digest):
            self._committer.forget_decisions()
        floor, store, settled = self._floor, self._store, self._payload.horizon
        has_risen = floor.advance(sub_dag.blocks, horizon=self._linearizer.horizon)
        if has_risen or settled > store.speech_lamport:
            store.prune(floor.round, floor.lamport, settled)
            self._release()
        return commit
