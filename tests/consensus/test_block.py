"""How the vertex of a validator is read as a block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.block import (
    BlockBody,
    CommitVote,
    count_block_parents,
    encode_body,
    read_block,
    read_body,
    read_position,
)
from consensus.errors import InvalidBlock
from tests.support.block_dag import BlockDag


def test_body_survives_the_wire():
    body = BlockBody(7, 3, 2, 4, (CommitVote(9, b"d" * 32), CommitVote(10, b"d" * 32, b"r" * 32)))
    assert read_body(encode_body(body)) == body
    assert read_position(encode_body(body)) == (7, 3)


@pytest.mark.parametrize(
    "data", [b"", b"\x93\x01\x02\x03", encode_body(BlockBody(0, 1, 0, 0)) + b"x"]
)
def test_bytes_that_are_no_body_are_an_invalid_block(data: bytes):
    with pytest.raises(InvalidBlock, match="body"):
        read_body(data)
    assert read_position(data) is None


def test_parents_are_split_into_blocks_and_payload():
    dag = BlockDag()
    note = dag.note(0)
    below = dag.row(1)
    signed = dag.block(0, 2, below, payload=[note.ref])
    block = read_block(signed, read_body(signed.vertex.body), 0)
    assert block.parents == tuple(parent.ref for parent in below)
    assert (block.payload, block.predecessor) == ((note.ref,), None)
    assert (block.author, block.round, block.previous_round) == (0, 2, 1)
    assert (block.id, block.time_ms) == (signed.id, signed.vertex.time_ms)


def test_last_vertex_of_an_earlier_epoch_is_no_block_parent():
    dag = BlockDag(epoch=1)
    old = dag.block(0, 9, epoch=0)
    note = dag.note(1)
    signed = dag.block(0, 1, predecessor=old, payload=[note.ref])
    block = read_block(signed, read_body(signed.vertex.body), 0)
    assert (block.predecessor, block.parents, block.payload) == (old.ref, (), (note.ref,))


@pytest.mark.parametrize("count", [-1, 1])
def test_more_block_parents_than_parents_are_refused(count: int):
    dag = BlockDag()
    signed = dag.block(0, 1, count=count)
    with pytest.raises(InvalidBlock, match="layout"):
        read_block(signed, read_body(signed.vertex.body), 0)


def test_first_block_of_a_later_epoch_may_name_the_last_leader_for_genesis():
    dag = BlockDag(epoch=1)
    leader, own = dag.block(1, 9, epoch=0), dag.block(0, 9, epoch=0)
    note = dag.note(1)
    signed = dag.block(0, 1, [leader], predecessor=own, payload=[note.ref])
    block = read_block(signed, read_body(signed.vertex.body), 0)
    assert (block.predecessor, block.genesis) == (own.ref, (leader.ref,))
    assert (block.parents, block.payload) == ((), (note.ref,))
    assert count_block_parents(signed.vertex) == 2


def test_a_lane_tells_which_parents_are_named_as_blocks():
    dag = BlockDag()
    note = dag.note(0)
    below = dag.row(1)
    assert count_block_parents(dag.block(0, 2, below, payload=[note.ref]).vertex) == len(below)
    assert count_block_parents(dag.block(1, 1, payload=[note.ref]).vertex) == 0
    assert count_block_parents(dag.block(1, 2, below, body=b"?", seq=1).vertex) == 1
    assert count_block_parents(dag.block(1, 1, payload=[note.ref], body=b"?").vertex) == 0


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 3))
def test_a_count_of_blocks_is_never_more_than_there_are_parents(count: int, payload: int):
    dag = BlockDag()
    notes = [dag.note(number).ref for number in range(payload)]
    vertex = dag.block(0, 1, payload=notes, count=count).vertex
    assert 0 <= count_block_parents(vertex) <= payload
