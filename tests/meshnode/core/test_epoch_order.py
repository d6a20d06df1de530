"""One epoch of the order, and the one after it."""

from __future__ import annotations

import pytest

from consensus.block import CommitVote
from consensus.epoch import LEADERS_KEPT
from consensus.payload import PayloadOrder
from dag.bodies import CommitteeChange, StakeChange
from dag.errors import MalformedMessage
from dag.order import Commit
from meshnode.core.checkpointing import make_checkpoint
from meshnode.core.epoch_order import EpochOrder, thaw_epoch
from tests.support.block_dag import BlockDag
from tests.support.horizons import level

VOTE = CommitVote(1, bytes(32), b"r" * 32)


def make_order(dag: BlockDag) -> EpochOrder:
    payload = PayloadOrder(dag.index, gc_commits=1_000)
    return EpochOrder(dag.network, dag.committee, b"s" * 32, dag.index, payload=payload)


def make_commit(dag: BlockDag, index: int = 1, *blocks) -> Commit:
    refs = tuple(block.ref for block in blocks)
    return Commit(index, bytes(32), bytes(32), index.to_bytes(32, "big"), refs, 7)


def demote(dag: BlockDag, number: int, *, gc_commits: int = 0) -> CommitteeChange:
    change = StakeChange(dag.committee.validators[number].author, 0)
    return CommitteeChange((change,), "", gc_commits)


def test_an_epoch_is_over_when_a_quorum_has_voted_for_the_state_that_names_the_next():
    dag = BlockDag()
    order = make_order(dag)
    assert order.has_voted(0)
    assert order.checkpoint_vote is None
    blocks = [dag.block(author, 1, votes=(VOTE,)) for author in range(4)]
    for block in blocks:
        order.ordering.add(block)
    order.name_successor(demote(dag, 3))
    order.begin_checkpoint(VOTE)
    assert not order.has_voted(0)
    order.observe(make_commit(dag, 1, *blocks[:2]))
    assert order.has_voted(0)
    assert not order.is_over
    order.observe(make_commit(dag, 2, blocks[2]))
    assert order.is_over


def test_without_a_successor_votes_end_nothing():
    dag = BlockDag()
    order = make_order(dag)
    blocks = [dag.block(author, 1, votes=(VOTE,)) for author in range(4)]
    for block in blocks:
        order.ordering.add(block)
    order.begin_checkpoint(VOTE)
    order.observe(make_commit(dag, 1, *blocks))
    assert all(map(order.has_voted, range(4)))
    assert not order.is_over


def test_the_next_epoch_goes_on_from_the_last_commit():
    dag = BlockDag()
    order = make_order(dag)
    for index in range(1, 20):
        order.observe(make_commit(dag, index))
    order.name_successor(demote(dag, 1, gc_commits=5))
    after = order.begin_next()
    assert after.committee.epoch == 1
    assert len(after.committee) == 3
    assert after.ordering.head == order.ordering.head
    assert after.ordering.payload is order.ordering.payload
    assert after.ordering.payload.freeze().gc_commits == 5
    assert len(after.ordering.freeze().ordered) == LEADERS_KEPT
    assert after.successor is None


@pytest.mark.parametrize("ends", [False, True])
def test_an_epoch_is_taken_up_from_its_pieces(ends: bool):
    dag = BlockDag()
    order = make_order(dag)
    commit = make_commit(dag)
    order.observe(commit)
    if ends:
        order.name_successor(demote(dag, 2))
    pieces = order.freeze()
    checkpoint = make_checkpoint(
        dag.network, commit, order.committee, order.successor, floor=level(0), pieces=pieces
    )
    again = thaw_epoch(checkpoint, pieces, dag.index)
    assert again.freeze() == pieces
    assert (again.successor is not None) is ends
    assert again.checkpoint_vote == checkpoint.vote
    with pytest.raises(MalformedMessage):
        thaw_epoch(checkpoint, {**pieces, "epoch": b"?"}, dag.index)
    with pytest.raises(MalformedMessage):
        thaw_epoch(checkpoint, {}, dag.index)
