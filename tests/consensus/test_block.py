"""How the vertex of a validator is read as a block."""

from __future__ import annotations

import pytest

from consensus.block import (
    BlockBody,
    CommitVote,
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
