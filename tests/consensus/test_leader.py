"""Who leads: fixed by the epoch, corrected by what was committed, alike on every machine."""

from __future__ import annotations

from collections import Counter

import pytest

from consensus.errors import InvalidProtocol
from consensus.leader import Reputation, RoundRobin, WeightedDraw, make_schedule
from tests.support.lattice import make_block, make_committee


def test_round_robin_goes_round():
    schedule = RoundRobin(make_committee(4), leaders_per_round=2)
    assert [schedule.get_leaders(round_) for round_ in (1, 2, 3, 4)] == [
        (1, 2),
        (2, 3),
        (3, 0),
        (0, 1),
    ]
    assert not schedule.observe(make_block(0, 1), [], b"")


@pytest.mark.parametrize("count", [0, 5])
def test_leaders_per_round_are_bounded_by_the_committee(count: int):
    with pytest.raises(InvalidProtocol, match="leaders per round"):
        RoundRobin(make_committee(4), leaders_per_round=count)


def test_weighted_draw_follows_stake_and_repeats_nobody():
    committee = make_committee([6, 3, 1])
    schedule = WeightedDraw(committee, b"seed", leaders_per_round=3)
    drawn = [schedule.get_leaders(round_) for round_ in range(3_000)]
    assert all(sorted(leaders) == [0, 1, 2] for leaders in drawn)
    first = Counter(leaders[0] for leaders in drawn)
    assert 1_700 < first[0] < 1_900
    assert 800 < first[1] < 1_000
    assert not schedule.observe(make_block(0, 1), [], b"")


def test_weighted_draw_is_pinned():
    """Another platform or version must draw the same."""
    committee = make_committee([6, 3, 1])
    drawn = [WeightedDraw(committee, b"seed").get_leaders(round_)[0] for round_ in range(1, 21)]
    assert drawn == [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 2, 0, 1, 1, 1, 0, 1, 0]
    assert drawn != [
        WeightedDraw(committee, b"tree").get_leaders(round_)[0] for round_ in range(1, 21)
    ]


def feed(schedule: Reputation, rounds: range, voters: tuple[int, ...]) -> list[bool]:
    """Commit a leader each round, with the votes of some for the leader before."""
    changes = []
    leader = make_block(0, rounds.start - 1)
    schedule._leaders[leader.id] = leader.round
    for round_ in rounds:
        votes = [make_block(author, round_, [leader]) for author in voters]
        leader = next(block for block in votes if block.author == voters[round_ % len(voters)])
        changes.append(schedule.observe(leader, votes, b"digest"))
    return changes


def test_reputation_gives_the_slots_of_the_silent_to_those_that_vote():
    committee = make_committee(4)
    schedule = Reputation(committee, RoundRobin(committee), window_commits=5)
    changes = feed(schedule, range(1, 6), (0, 1, 2))
    assert changes == [False] * 4 + [True]
    assert schedule.barred == (3,)
    assert schedule.get_leaders(3) == (3,)
    later = [schedule.get_leaders(round_)[0] for round_ in range(6, 40)]
    assert sorted(Counter(later)) == [0, 1, 2]
    assert [
        author for author, round_ in zip(later, range(6, 40), strict=True) if round_ % 4 != 3
    ] == [round_ % 4 for round_ in range(6, 40) if round_ % 4 != 3]


def test_reputation_takes_back_who_votes_again():
    committee = make_committee(4)
    schedule = Reputation(committee, RoundRobin(committee), window_commits=5)
    feed(schedule, range(1, 6), (0, 1, 2))
    assert feed(schedule, range(6, 11), (0, 1, 2, 3))[-1]
    assert schedule.barred == ()
    assert schedule.get_leaders(11) == (3,)
    assert schedule.get_leaders(7) != (3,)


def test_reputation_changes_nothing_in_an_even_mesh():
    committee = make_committee(4)
    schedule = Reputation(committee, RoundRobin(committee), window_commits=5)
    assert feed(schedule, range(1, 21), (0, 1, 2, 3)) == [False] * 20


def test_reputation_never_bars_the_only_one():
    alone = make_committee(1)
    schedule = Reputation(alone, RoundRobin(alone), window_commits=1)
    assert not schedule.observe(make_block(0, 1), [], b"digest")
    assert schedule.get_leaders(9) == (0,)


def test_reputation_bars_no_more_stake_than_may_be_faulty():
    committee = make_committee(7)
    schedule = Reputation(committee, RoundRobin(committee), window_commits=5)
    feed(schedule, range(1, 6), (0, 1, 2))
    assert len(schedule.barred) == 2
    heavy = make_committee([1, 1, 1, 3])
    schedule = Reputation(heavy, RoundRobin(heavy), window_commits=5)
    feed(schedule, range(1, 6), (0, 1, 2))
    assert schedule.barred == ()


def test_reputation_names_nobody_twice_in_a_round():
    committee = make_committee(4)
    schedule = Reputation(committee, RoundRobin(committee, leaders_per_round=3), window_commits=5)
    feed(schedule, range(1, 6), (0, 1, 2))
    assert all(sorted(schedule.get_leaders(round_)) == [0, 1, 2] for round_ in range(6, 20))
    full = Reputation(committee, RoundRobin(committee, leaders_per_round=4), window_commits=5)
    feed(full, range(1, 6), (0, 1, 2))
    assert full.get_leaders(8) == (0, 1, 2, 3)


def test_networks_lead_in_turn_or_by_stake():
    even, uneven = make_committee(4), make_committee([2, 1, 1])
    assert make_schedule(even, b"s").get_leaders(6) == (2,)
    assert make_schedule(uneven, b"s").get_leaders(6) == WeightedDraw(uneven, b"s").get_leaders(6)
