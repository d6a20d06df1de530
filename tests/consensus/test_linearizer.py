"""What a committed leader puts out: new, above the horizon, one block per slot."""

from __future__ import annotations

import msgspec

from consensus.linearizer import Linearizer, LinearizerState
from dag.types import Ref
from tests.support.lattice import make_block, make_committee, make_store

NOTE, OTHER = Ref(1, b"n" * 32), Ref(2, b"o" * 32)


def chain(length: int):
    blocks = [make_block(0, 1)]
    for round_ in range(2, length + 1):
        blocks.append(make_block(0, round_, blocks[-1:]))
    return blocks


def test_each_block_is_put_out_once():
    blocks = chain(5)
    linearizer = Linearizer(make_store(make_committee(1), blocks), gc_depth=None)
    assert linearizer.commit(blocks[1]).blocks == tuple(blocks[:2])
    assert linearizer.commit(blocks[4]).blocks == tuple(blocks[2:])
    assert linearizer.horizon == 0


def test_horizon_follows_the_leader_before():
    blocks = chain(9)
    store = make_store(make_committee(1), blocks)
    linearizer = Linearizer(store, gc_depth=2, start=LinearizerState(5))
    assert linearizer.horizon == 3
    first = linearizer.commit(blocks[5])
    assert (first.blocks, first.horizon, linearizer.horizon) == (tuple(blocks[3:6]), 3, 4)
    second = linearizer.commit(blocks[8])
    assert (second.blocks, second.horizon) == (tuple(blocks[6:]), 4)


def test_payload_of_a_suppressed_twin_is_put_out_with_it():
    one = make_block(1, 1, payload=(NOTE,))
    twin = make_block(1, 1, variant="a", payload=(OTHER, NOTE))
    sides = [make_block(0, 2, [one]), make_block(2, 2, [twin])]
    leader = make_block(0, 3, sides)
    linearizer = Linearizer(
        make_store(make_committee(4), [one, twin, *sides, leader]), gc_depth=None
    )
    sub_dag = linearizer.commit(leader)
    first = min(one, twin, key=lambda block: block.id)
    assert sub_dag.blocks == (first, *sides, leader)
    assert sub_dag.payload == (NOTE, OTHER)


def test_order_inside_a_commit_is_a_parameter():
    base = [make_block(author, 1) for author in range(4)]
    leader = make_block(0, 2, base)
    linearizer = Linearizer(
        make_store(make_committee(4), [*base, leader]),
        gc_depth=None,
        order=lambda _, block: (block.round, -block.author, block.id),
    )
    assert [block.author for block in linearizer.commit(leader).blocks] == [3, 2, 1, 0, 0]


def test_reference_with_a_false_lamport_is_not_followed():
    low = make_block(0, 1, payload=(NOTE,))
    false = Ref(low.ref.lamport + 7, low.id)
    leader = msgspec.structs.replace(make_block(1, 2), parents=(false,))
    linearizer = Linearizer(make_store(make_committee(4), [low, leader]), gc_depth=None)
    assert linearizer.commit(leader).blocks == (leader,)


def test_false_reference_does_not_hide_a_true_one():
    true, false = make_block(0, 1, payload=(OTHER,)), make_block(1, 1, payload=(Ref(1, OTHER.id),))
    leader = make_block(2, 2, [true, false])
    linearizer = Linearizer(make_store(make_committee(4), [true, false, leader]), gc_depth=None)
    assert linearizer.commit(leader).payload == (Ref(1, OTHER.id), OTHER)


def test_rounds_far_apart_cost_no_more_than_near_ones():
    low, high = make_block(0, 1), make_block(0, 2**62)
    last = make_block(0, 2**62 + 9, [high])
    linearizer = Linearizer(make_store(make_committee(1), [low, high, last]), gc_depth=2)
    for leader in (low, high, last):
        linearizer.commit(leader)
    assert linearizer.horizon == last.round - 2
    assert [round_ for round_, _, _ in linearizer.freeze().rounds] == [last.round]
