"""Vertices in, commits out."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from consensus.block import Block
from consensus.commits import CommitHead
from consensus.decision import Decision, Slot, Status
from consensus.floor import RETAINED_ROUNDS, FloorState
from consensus.leader import Reputation, RoundRobin
from consensus.ordering import (
    Accepted,
    Dropped,
    Inert,
    Later,
    Ordering,
    OrderingState,
)
from dag.order import Commit
from dag.types import COUNTER_MAX, Horizon, Kind
from tests.support.block_dag import BlockDag, own_first
from tests.support.lattice import Shape, grow, make_committee, make_ordering


def commits(ordering: Ordering):
    return [commit for _, commit in ordering.advance() if commit is not None]


def test_blocks_order_themselves_and_all_they_have_seen():
    dag = BlockDag()
    profiles = [signed.ref for signed in dag.builder.vertices]
    rows = [dag.row(1, payload={1: profiles})]
    note = dag.note(2)
    rows.append(dag.row(2, rows[-1], payload={2: [note.ref], 0: [note.ref]}))
    for round_ in (3, 4):
        rows.append(dag.row(round_, rows[-1]))
    ordering = dag.ordering()
    for row in rows:
        assert all(isinstance(ordering.add(signed), Accepted) for signed in row)
    first, second = commits(ordering)
    assert sorted(first.vertices[:4]) == sorted(profiles)
    assert first.vertices[4:] == (rows[0][1].ref,)
    assert second.vertices[0] == note.ref
    assert second.vertices[-1] == rows[1][2].ref
    assert (first.leader, second.leader) == (rows[0][1].id, rows[1][2].id)
    assert ordering.head == CommitHead(2, second.digest, second.time_ms)
    times = sorted(signed.vertex.time_ms for signed in rows[0])
    assert (first.time_ms, second.time_ms) == (0, times[1])
    assert (ordering.cursor, ordering.horizon) == (Slot(3, 0), 0)


def test_verdicts_tell_blocks_from_the_rest():
    dag = BlockDag(5, epoch=3)
    dag.committee = type(dag.committee)(3, dag.committee.validators[:4])
    ordering = dag.ordering()
    (one, *_), *_ = dag.rows(1), 0
    block = one[0]
    verdict = ordering.add(block)
    assert isinstance(verdict, Accepted)
    assert (verdict.block.author, verdict.twin_of) == (0, None)
    assert isinstance(ordering.add(block), Dropped)
    twin = dag.block(0, 1, time_ms=1)
    verdict = ordering.add(twin)
    assert isinstance(verdict, Accepted)
    assert isinstance(verdict.twin_of, Block)
    assert verdict.twin_of.id == block.id
    assert isinstance(ordering.add(dag.block(0, 1, epoch=4)), Later)
    old, foreign = dag.block(0, 1, epoch=2), dag.block(4, 1)
    for signed in (old, foreign):
        assert isinstance(ordering.add(signed), Inert)
        assert not ordering.store.is_inert(signed.id)


def test_inert_vertex_is_remembered_and_answered_once():
    dag = BlockDag()
    ordering = dag.ordering()
    broken = dag.block(0, 1, kind=Kind.NOTE)
    verdict = ordering.add(broken)
    assert isinstance(verdict, Inert)
    assert verdict.error.rule == "kind"
    assert ordering.store.is_inert(broken.id)
    assert isinstance(ordering.add(broken), Dropped)


def test_late_block_below_the_floor_is_dropped():
    dag = BlockDag()
    ordering = dag.ordering(start=OrderingState(floor=FloorState(3, 40), cursor=Slot(5, 0)))
    assert isinstance(ordering.add(dag.block(0, 1)), Dropped)


@pytest.mark.parametrize("round_", [8, 2**31, COUNTER_MAX])
def test_round_far_ahead_costs_and_changes_nothing(round_: int):
    dag = BlockDag()
    rows = dag.rows(6)
    ordering = dag.ordering()
    for signed in (signed for row in rows for signed in row):
        ordering.add(signed)
    below = own_first(rows[-1], dag.builder.people[1].author)
    ahead = dag.block(1, round_, below, previous_round=6, seq=6, time_ms=7)
    verdict = ordering.add(ahead)
    assert isinstance(verdict, Inert)
    assert verdict.error.rule == "quorum"
    assert ordering.store.highest_round == 6
    assert len(commits(ordering)) == 4
    assert len(ordering.list_pending()) == 1


def test_decisions_not_taken_stay_for_the_next_call():
    dag = BlockDag()
    rows = dag.rows(6)
    ordering = dag.ordering()
    for signed in (signed for row in rows for signed in row):
        ordering.add(signed)
    first, _ = next(iter(ordering.advance()))
    assert first.slot == (1, 0)
    assert [decision.slot.round for decision, _ in ordering.advance()] == [2, 3, 4]
    assert [decision.status for decision in ordering.list_pending()] == [Status.UNDECIDED]


def test_history_far_below_the_horizon_is_forgotten():
    committee = make_committee(4)
    ordering = make_ordering(committee, gc_depth=3)
    blocks = grow(Random(1), committee, Shape(rounds=150))
    for block in blocks:
        ordering.insert(block)
        list(ordering.advance())
    assert ordering.store.floor >= 150 - RETAINED_ROUNDS - 20
    assert len(ordering.store) < 4 * (RETAINED_ROUNDS + 30)


@pytest.mark.parametrize("chunk", [1, 10_000])
def test_change_of_leaders_holds_from_the_commit_that_made_it(chunk: int):
    committee = make_committee(4)
    shape = Shape(rounds=60, crashed=(3,), leader_chance=100, late_chance=0, absent_chance=0)
    schedule = Reputation(committee, RoundRobin(committee), window_commits=5)
    ordering = make_ordering(committee, schedule)
    taken: list[tuple[Decision, Commit | None]] = []
    for count, block in enumerate(grow(Random(3), committee, shape)):
        ordering.insert(block)
        if not count % chunk:
            taken += ordering.advance()
    taken += ordering.advance()
    skipped = [decision.slot.round for decision, _ in taken if decision.status == Status.SKIP]
    assert schedule.barred == (3,)
    assert skipped
    assert max(skipped) < 40
    assert [decision.slot.round for decision, _ in taken] == list(range(1, len(taken) + 1))


def test_first_commit_of_an_epoch_continues_the_chain():
    dag = BlockDag(epoch=1)
    old = dag.block(0, 30, epoch=0)
    head = CommitHead(12, b"h" * 32, 5_000_000_000_000)
    ordering = dag.ordering(start=OrderingState(head=head, ordered=(old.id,)))
    assert ordering.last_leader == old.id
    assert dag.ordering().last_leader is None
    assert ordering.prunable == Horizon()
    first = [dag.block(0, 1, predecessor=old), *dag.row(1, authors=[1, 2, 3])]
    rows = [first]
    for round_ in (2, 3):
        row = []
        for number, own in enumerate(rows[-1]):
            parents = own_first(rows[-1], own.vertex.author)
            row.append(dag.block(number, round_, parents, seq=own.vertex.seq + 1))
        rows.append(row)
    for signed in (signed for row in rows for signed in row):
        assert isinstance(ordering.add(signed), Accepted)
    (commit,) = commits(ordering)
    assert (commit.index, commit.previous_digest, commit.time_ms) == (13, head.digest, head.time_ms)
    assert msgspec.msgpack.encode(commit)
