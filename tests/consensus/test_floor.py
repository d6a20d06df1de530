"""The floor rises with the commits, and nothing that is needed lies below it."""

from __future__ import annotations

from random import Random

import msgspec

from consensus.floor import RETAINED_ROUNDS, Floor, FloorState
from consensus.leader import RoundRobin
from consensus.ordering import Ordering
from consensus.payload import PayloadOrder
from consensus.protocol import ProfileName
from dag.index import Index
from dag.types import COUNTER_MAX, Ref
from tests.support.lattice import NETWORK, Shape, grow, make_block, make_committee

FAR = RETAINED_ROUNDS + 2


def test_floor_of_a_young_epoch_stays_where_it_began():
    floor = Floor(FloorState(lamport=7))
    blocks = [make_block(0, 1)]
    assert not floor.advance(blocks, horizon=RETAINED_ROUNDS)
    assert (floor.round, floor.lamport) == (0, 7)


def test_floor_lies_below_what_the_first_round_above_it_stands_on():
    low = make_block(0, 3, [make_block(0, 2, [make_block(0, 1)])])
    high = make_block(1, 3, [low])
    floor = Floor(FloorState())
    floor.advance([low, high, make_block(0, 2)], horizon=0)
    assert floor.advance([], horizon=FAR)
    assert (floor.round, floor.lamport) == (2, low.ref.lamport - 1)
    assert floor.freeze() == FloorState(2, 2, ((3, 3),))


def test_floor_never_goes_down():
    floor = Floor(FloorState(2, 40, ((3, 50), (4, 20))))
    assert floor.advance([], horizon=FAR + 1)
    assert (floor.round, floor.lamport) == (3, 40)
    assert not floor.advance([], horizon=0)
    assert (floor.round, floor.lamport) == (3, 40)


def test_round_of_which_nothing_was_put_out_holds_the_lamport():
    floor = Floor(FloorState(0, 4, ((9, 30),)))
    assert floor.advance([], horizon=COUNTER_MAX)
    assert (floor.round, floor.lamport) == (COUNTER_MAX - RETAINED_ROUNDS, 4)
    assert floor.freeze().lowest == ()


def test_no_block_above_the_next_round_lies_at_or_below_the_floor():
    """With as many liars as the profile bears, whatever the payload."""
    heights: list[int] = []
    committees: list[tuple[ProfileName, int]] = [("bft3", 4), ("bft5", 6), ("cft", 3)]
    for seed, (profile, members) in enumerate(committees * 3):
        committee = make_committee(members, profile)
        liars = (0,) if profile != "cft" else ()
        plain = grow(Random(seed), committee, Shape(rounds=110, liars=liars, leader_chance=90))
        carried = (Ref(1_000_000, bytes(32)),)
        blocks = [msgspec.structs.replace(block, payload=carried) for block in plain]
        payload = PayloadOrder(Index(), gc_commits=1)
        ordering = Ordering(NETWORK, committee, RoundRobin(committee), payload=payload, gc_depth=2)
        for block in blocks:
            ordering.insert(block)
            for _ in ordering.advance():
                floor = ordering.floor
                low = [other for other in blocks if other.ref.lamport <= floor.lamport]
                assert all(other.round <= floor.round + 1 for other in low)
                assert floor.lamport >= floor.round
        heights.append(ordering.floor.lamport)
    assert all(height > 20 for height in heights)
