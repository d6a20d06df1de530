"""The state of the order as a value: it follows from the commits alone, and the order from it."""

from __future__ import annotations

import dataclasses
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.block import Block
from consensus.committee import Committee
from consensus.floor import FloorState
from consensus.leader import LeaderSchedule, Reputation, RoundRobin, WeightedDraw
from consensus.linearizer import LinearizerState
from consensus.ordering import (
    Accepted,
    Dropped,
    Ordering,
    OrderingState,
    decode_state,
    encode_state,
)
from consensus.payload import PayloadOrder
from consensus.protocol import ProfileName
from dag.errors import MalformedMessage
from dag.index import Index
from dag.order import Commit
from dag.types import Ref
from tests.support.lattice import NETWORK, Shape, grow, make_committee, shuffle

COMMITTEES: list[tuple[ProfileName, int, int]] = [
    ("bft3", 4, 1),
    ("bft3", 7, 2),
    ("bft5", 6, 1),
    ("cft", 3, 0),
    ("bft3", 1, 0),
]
"""Profile, members, and how many of them may make twins."""
Taken = list[tuple[Commit, OrderingState]]


class Setting:
    """A committee with its schedule, and what its members made."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.random = random
        profile, members, liars = random.choice(COMMITTEES)
        stakes = [random.choice([1, 1, 2]) for _ in range(members)] if members == 7 else members
        self.committee: Committee = make_committee(stakes, profile)
        self.leaders = random.randrange(1, min(3, members) + 1)
        self.window = random.choice([3, 7, 100])
        self.gc_depth = random.choice([1, 2, 5, None])
        self.gc_commits = random.choice([1, 4, 1_000])
        spare = self.committee.profile.faulty
        liars = liars if self.committee.is_uniform else 0
        self.shape = Shape(
            rounds=110 if members < 7 else 40,
            liars=tuple(range(liars)) if random.randrange(2) else (),
            crashed=(members - 1,) if spare >= self.committee.get_stake(members - 1) else (),
            leader_chance=random.choice([60, 100]),
        )
        if self.shape.liars:
            self.shape = dataclasses.replace(self.shape, crashed=())
        plain = grow(random, self.committee, self.shape, self.make_schedule())
        self.blocks = [self.load(block) for block in plain]

    def load(self, block: Block) -> Block:
        """Give a block something to carry, with lamports that wander with the rounds."""
        refs = tuple(
            Ref(2 * block.round + self.random.randrange(6), self.random.randbytes(32))
            for _ in range(self.random.randrange(3))
        )
        return msgspec.structs.replace(block, payload=refs)

    def make_schedule(self) -> Reputation:
        base: LeaderSchedule
        if self.committee.is_uniform:
            base = RoundRobin(self.committee, leaders_per_round=self.leaders)
        else:
            base = WeightedDraw(self.committee, b"seed", leaders_per_round=self.leaders)
        return Reputation(self.committee, base, window_commits=self.window)

    def order(self, start: OrderingState | None = None) -> Ordering:
        payload = None if start else PayloadOrder(Index(), gc_commits=self.gc_commits)
        return Ordering(
            NETWORK,
            self.committee,
            self.make_schedule(),
            payload=payload,
            start=start,
            gc_depth=self.gc_depth,
        )

    def feed(self, ordering: Ordering, blocks: list[Block], chunk: int) -> Taken:
        """Give blocks, and take what they decide now and then."""
        taken: Taken = []
        for count, block in enumerate(blocks, 1):
            ordering.insert(block)
            if not count % chunk:
                taken += self.take(ordering)
        return taken + self.take(ordering)

    @staticmethod
    def take(ordering: Ordering) -> Taken:
        return [
            (commit, ordering.freeze()) for _, commit in ordering.advance() if commit is not None
        ]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_order_goes_on_from_any_state(seed: int):
    scene = Setting(seed)
    whole = scene.feed(scene.order(), scene.blocks, scene.random.choice([1, 9, 10_000]))
    assert whole
    # What a node holds, and when it looks, leaves no trace in the state.
    other = scene.feed(scene.order(), shuffle(scene.random, scene.blocks), 5)
    assert other[: len(whole)] == whole[: len(other)]
    for position in {0, len(whole) // 2, len(whole) - 1, scene.random.randrange(len(whole))}:
        commit, state = whole[position]
        assert state.head.digest == commit.digest
        assert decode_state(encode_state(state)) == state
        thawed = scene.order(decode_state(encode_state(state)))
        assert thawed.freeze() == state
        above = [block for block in scene.blocks if block.round > state.floor.round]
        later = scene.feed(
            thawed, shuffle(scene.random, above), scene.random.choice([1, 7, 10_000])
        )
        assert later == whole[position + 1 :]


def test_state_between_two_commits_of_one_call_is_that_of_the_first():
    scene = Setting(3)
    slow = scene.feed(scene.order(), scene.blocks, 1)
    fast = scene.order()
    for block in scene.blocks:
        fast.insert(block)
    for (_, commit), (expected, state) in zip(
        ((decision, commit) for decision, commit in fast.advance() if commit), slow, strict=True
    ):
        assert commit == expected
        assert fast.freeze() == state


def test_leaders_of_a_thawed_order_are_those_of_the_frozen_one():
    scene = Setting(11)
    scene.window = 3
    ordering = scene.order()
    taken = scene.feed(ordering, scene.blocks, 1)
    again = scene.make_schedule()
    again.restore(taken[-1][1].schedule)
    assert again.freeze() == taken[-1][1].schedule
    rounds = range(1, scene.shape.rounds + 50)
    assert [again.get_leaders(r) for r in rounds] == [
        ordering._schedule.get_leaders(r) for r in rounds
    ]


def test_schedules_that_learn_nothing_freeze_to_nothing():
    schedule = RoundRobin(make_committee(4))
    assert schedule.freeze() is None
    schedule.restore(None)
    reputation = Reputation(make_committee(4), schedule)
    reputation.restore(None)
    assert reputation.freeze() == Reputation(make_committee(4), schedule).freeze()


def test_payload_is_handed_on_to_the_next_epoch():
    scene = Setting(5)
    ordering = scene.order()
    taken = scene.feed(ordering, scene.blocks, 1)
    state = taken[-1][1]
    start = OrderingState(
        head=state.head, epoch_lamport=state.floor.lamport, floor=FloorState(0, state.floor.lamport)
    )
    after = Ordering(
        NETWORK, scene.committee, scene.make_schedule(), payload=ordering.payload, start=start
    )
    assert after.payload is ordering.payload
    assert after.freeze().payload == state.payload
    assert (after.floor.round, after.floor.lamport) == (0, state.floor.lamport)


def test_blocks_below_the_floor_of_a_state_have_no_effect():
    scene = Setting(1)
    committee = scene.committee = make_committee(4)
    scene.gc_depth = 2
    scene.blocks = grow(Random(1), committee, Shape(rounds=120))
    whole = scene.feed(scene.order(), scene.blocks, 1)
    state = whole[-1][1]
    assert state.floor.round > 0
    thawed = scene.order(state)
    verdicts = [type(thawed.insert(block)) for block in scene.blocks]
    below = [block.round <= state.floor.round for block in scene.blocks]
    assert verdicts == [Dropped if is_below else Accepted for is_below in below]
    assert thawed.freeze() == state


def test_broken_state_gives_a_typed_error():
    with pytest.raises(MalformedMessage):
        decode_state(b"\x90")
    half = OrderingState(blocks=LinearizerState(1, ((1, b"\x01", b"half"),)))
    with pytest.raises(MalformedMessage, match="whole number"):
        Ordering(NETWORK, make_committee(1), RoundRobin(make_committee(1)), start=half)
