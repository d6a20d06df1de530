"""What must hold on every lattice: one order, whoever looks, whenever, and in whatever order.

The committees have 1 to 10 members and any profile; up to the tolerated stake makes twins at will.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.block import Block
from consensus.committee import Committee
from consensus.decision import Decision, Status
from consensus.errors import BrokenFaultBound
from consensus.leader import Reputation, RoundRobin
from consensus.ordering import Ordering
from dag.order import Commit
from tests.support.lattice import (
    Shape,
    cut,
    grow,
    make_block,
    make_committee,
    make_ordering,
    shuffle,
)
from tests.support.naive_consensus import NaiveConsensus

PROFILES = ("bft3", "bft5", "cft")
SEEDS = st.integers(0, 2**32)
EXAMPLES = settings(max_examples=60, deadline=None)


@st.composite
def lattices(draw) -> tuple[Random, Committee, RoundRobin, list[Block]]:
    """A committee with its faults at the bound, and what it made."""
    random = draw(SEEDS.map(Random))
    members = draw(st.integers(1, 10))
    even = draw(st.booleans())
    stakes = [1] * members if even else [1 + random.randrange(4) for _ in range(members)]
    committee = make_committee(stakes, draw(st.sampled_from(PROFILES)))
    order = random.sample(range(members), members)
    liars = _take(committee, order, committee.profile.byzantine)
    rest = [author for author in order if author not in liars]
    spare = committee.profile.faulty - sum(committee.get_stake(author) for author in liars)
    crashed = _take(committee, rest, spare) if draw(st.booleans()) else ()
    shape = Shape(
        rounds=draw(st.integers(1, 16)),
        liars=liars,
        crashed=crashed,
        leader_chance=draw(st.sampled_from([0, 50, 90, 100])),
        late_chance=draw(st.sampled_from([0, 20])),
        absent_chance=draw(st.sampled_from([0, 20])),
    )
    leaders = draw(st.integers(1, min(3, members)))
    schedule = RoundRobin(committee, leaders_per_round=leaders)
    return random, committee, schedule, grow(random, committee, shape, schedule)


def _take(committee: Committee, order: list[int], stake: int) -> tuple[int, ...]:
    taken: list[int] = []
    for author in order:
        if committee.get_stake(author) <= stake:
            stake -= committee.get_stake(author)
            taken.append(author)
    return tuple(taken)


def run(ordering: Ordering, blocks: list[Block], *, chunk: int = 0):
    """Feed blocks and take what is decided after every `chunk`, or once at the end."""
    taken: list[tuple[Decision, Commit | None]] = []
    for count, block in enumerate(blocks, 1):
        ordering.insert(block)
        if chunk and not count % chunk:
            taken += ordering.advance()
    return [*taken, *ordering.advance()]


def summarise(taken):
    """What nodes must agree on: slot, status, block and commit."""
    return [
        (tuple(d.slot), str(d.status), d.block.id if d.block else None, commit)
        for d, commit in taken
    ]


@EXAMPLES
@given(lattices(), st.sampled_from([None, 2, 6]))
def test_ordering_agrees_with_the_definition(made, gc_depth):
    _, committee, schedule, blocks = made
    naive = NaiveConsensus(committee, blocks, schedule.get_leaders)
    ordering = make_ordering(committee, schedule, gc_depth)
    taken = run(ordering, blocks)
    pending = [
        (tuple(d.slot), (str(d.status), d.block.id if d.block else None))
        for d in ordering.list_pending()
    ]
    decided = [(slot, (status, id_)) for slot, status, id_, _ in summarise(taken)]
    assert decided == naive.sequence()
    assert [*decided, *pending] == list(naive.outcomes().items())
    commits = [(c.leader, [ref.id for ref in c.vertices]) for _, c in taken if c]
    assert commits == naive.output(gc_depth)


@EXAMPLES
@given(lattices(), st.integers(1, 7))
def test_order_of_arrival_changes_nothing(made, chunk):
    random, committee, schedule, blocks = made
    late = summarise(run(make_ordering(committee, schedule, 6), blocks))
    for size in (1, chunk):
        again = run(make_ordering(committee, schedule, 6), shuffle(random, blocks), chunk=size)
        assert summarise(again) == late


@EXAMPLES
@given(lattices())
def test_views_are_prefixes_of_each_other_and_never_contradict(made):
    random, committee, schedule, blocks = made
    whole = summarise(run(make_ordering(committee, schedule), blocks))
    decided: dict[tuple[int, int], tuple[str, bytes | None]] = {}
    for _ in range(4):
        part = cut(random, blocks)
        for slot_form in (False, True):
            naive = NaiveConsensus(committee, part, schedule.get_leaders, slot_form=slot_form)
            for slot, outcome in naive.outcomes().items():
                if outcome[0] != "undecided":
                    assert decided.setdefault(slot, outcome) == outcome
        view = summarise(run(make_ordering(committee, schedule), part, chunk=1))
        assert view == whole[: len(view)]


@EXAMPLES
@given(lattices())
def test_decided_slots_never_change_while_a_view_grows(made):
    random, committee, schedule, blocks = made
    ordering = make_ordering(committee, schedule)
    known: dict[object, tuple[object, object]] = {}
    for block in shuffle(random, blocks):
        ordering.insert(block)
        decisions = [d for d, _ in ordering.advance()] + list(ordering.list_pending())
        for decision in decisions:
            if decision.status != Status.UNDECIDED:
                outcome = (decision.status, decision.block)
                assert known.setdefault(decision.slot, outcome) == outcome


@EXAMPLES
@given(lattices())
def test_output_holds_each_slot_once_and_time_never_runs_back(made):
    _, committee, schedule, blocks = made
    by_id = {block.id: block for block in blocks}
    commits = [c for _, c in run(make_ordering(committee, schedule), blocks) if c]
    slots = [(by_id[r.id].round, by_id[r.id].author) for c in commits for r in c.vertices]
    assert len(slots) == len(set(slots))
    times = [commit.time_ms for commit in commits]
    assert times == sorted(times)
    previous = [commits[0].previous_digest, *(c.digest for c in commits)] if commits else []
    assert [commit.previous_digest for commit in commits] == previous[:-1]


@settings(max_examples=25, deadline=None)
@given(st.integers(4, 9), SEEDS.map(Random))
def test_every_slot_commits_directly_when_leaders_are_always_taken(members, random):
    committee = make_committee(members)
    shape = Shape(rounds=60, leader_chance=100, late_chance=0, absent_chance=0)
    taken = run(make_ordering(committee), grow(random, committee, shape))
    assert [d.slot.round for d, _ in taken] == list(range(1, 59))
    assert all(d.status == Status.COMMIT and d.anchor is None for d, _ in taken)


@settings(max_examples=15, deadline=None)
@given(st.integers(4, 10), SEEDS.map(Random))
def test_reputation_gives_one_order_to_all(members, random):
    committee = make_committee(members)
    crashed = tuple(random.sample(range(members), committee.profile.faulty))
    shape = Shape(rounds=60, leader_chance=90, crashed=crashed)
    blocks = grow(random, committee, shape)

    def order() -> Ordering:
        schedule = Reputation(committee, RoundRobin(committee), window_commits=7)
        return make_ordering(committee, schedule, 6)

    late = summarise(run(order(), blocks))
    assert summarise(run(order(), shuffle(random, blocks), chunk=1)) == late
    assert summarise(run(order(), shuffle(random, blocks), chunk=5)) == late


def test_more_twins_than_tolerated_can_fork():
    """The negative control: two liars of four lead one honest author each to an order of its own."""
    committee = make_committee(4)
    worlds = []
    for honest in (2, 3):
        below: list[Block] = []
        blocks: list[Block] = []
        for round_ in range(1, 9):
            below = [
                make_block(author, round_, sorted(below, key=lambda b: b.author != author),
                           variant=str(honest))
                for author in (0, 1, honest)
            ]  # fmt: skip
            blocks += below
        worlds.append(blocks)
    orders = [summarise(run(make_ordering(committee), blocks)) for blocks in worlds]
    shared = min(len(order) for order in orders)
    assert shared
    assert orders[0][:shared] != orders[1][:shared]
    with pytest.raises(BrokenFaultBound):
        run(make_ordering(committee), worlds[0] + worlds[1])


def test_leaders_that_show_two_faces_are_decided_alike_everywhere():
    """Odd peers get one twin first, even peers the other; all get both in the end."""
    for members in (4, 7, 20):
        committee = make_committee(members)
        shape = Shape(rounds=12, liars=(1,), leader_chance=100)
        blocks = grow(Random(members), committee, shape)
        assert any(a.round == b.round and a.author == b.author == 1 and a != b
                   for a in blocks for b in blocks)  # fmt: skip
        orders = [shuffle(Random(seed), blocks) for seed in range(4)]
        results = [summarise(run(make_ordering(committee), order, chunk=1)) for order in orders]
        assert all(result == results[0] for result in results)
        assert len(results[0]) > 6


@pytest.mark.parametrize("profile", PROFILES)
def test_one_validator_commits_alone(profile):
    committee = make_committee(1, profile)
    blocks = grow(Random(0), committee, Shape(rounds=10))
    taken = run(make_ordering(committee), blocks, chunk=1)
    assert len(taken) == 10 - committee.thresholds.wave + 1
