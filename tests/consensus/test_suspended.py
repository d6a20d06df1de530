"""What waits for the floor, or for another block, is given back once, when that happens."""

from __future__ import annotations

from consensus.errors import Release
from consensus.suspended import Suspended
from tests.support.lattice import make_block

LOW, HIGH, TOP = make_block(0, 5), make_block(1, 9), make_block(2, 9)


def test_block_is_given_back_at_the_round_it_waits_for():
    waiting = Suspended()
    waiting.add(HIGH, Release(round=4))
    assert waiting.take_due(3, 10**6, 0) == []
    assert waiting.take_due(4, 0, 0) == [HIGH]
    assert waiting.take_due(99, 99, 0) == []
    assert len(waiting) == 0


def test_block_is_given_back_at_the_lamport_it_waits_for():
    waiting = Suspended()
    waiting.add(HIGH, Release(lamport=40, vertex_id=b"v"))
    assert waiting.take_due(8, 39, 0) == []
    assert waiting.take_due(8, 40, 0) == [HIGH]
    assert waiting.take_waiting_for(b"v") == []


def test_block_is_given_back_when_what_it_names_as_speech_is_settled():
    waiting = Suspended()
    waiting.add(HIGH, Release(speech_lamport=40))
    assert waiting.take_due(8, 99, 39) == []
    assert waiting.take_due(8, 0, 40) == [HIGH]
    assert waiting.take_due(99, 99, 99) == []


def test_blocks_are_given_back_with_what_they_stand_on():
    waiting = Suspended()
    waiting.add(HIGH, Release(lamport=40, vertex_id=LOW.id))
    waiting.add(TOP, Release(lamport=50, vertex_id=LOW.id))
    assert waiting.take_due(0, 40, 0) == [HIGH]
    assert waiting.take_waiting_for(LOW.id) == [TOP]
    assert waiting.take_due(99, 99, 0) == []


def test_block_that_no_floor_mends_leaves_when_it_lies_below():
    waiting = Suspended()
    waiting.add(LOW, None)
    waiting.add(HIGH, Release(round=50))
    assert waiting.take_due(4, 2**60, 0) == []
    assert waiting.take_due(5, 0, 0) == [LOW]
    assert waiting.take_due(9, 0, 0) == [HIGH]


def test_block_may_wait_again_and_is_given_back_once():
    waiting = Suspended()
    for _ in range(2):
        waiting.add(HIGH, Release(round=2, lamport=7, vertex_id=LOW.id))
        assert waiting.take_due(2, 0, 0) == [HIGH]
    waiting.add(HIGH, Release(round=4))
    assert waiting.take_due(2, 7, 0) == [HIGH]
    assert (waiting._by_vertex, len(waiting)) == ({}, 0)
