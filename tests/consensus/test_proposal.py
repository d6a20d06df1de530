"""What a new block stands on."""

from __future__ import annotations

from consensus.leader import RoundRobin
from consensus.proposal import Tips, choose_parents, is_complete
from tests.support.lattice import make_block, make_committee, make_store

COMMITTEE = make_committee(4)
SCHEDULE = RoundRobin(COMMITTEE)
"""The leader of round r is author r mod 4."""


def make_round(round_, parents, authors=range(4), **named):
    return [
        make_block(author, round_, sorted(parents, key=lambda one: one.author != author), **named)
        for author in authors
    ]


def choose(blocks, round_, author=0, own=None, tips=None):
    store = make_store(COMMITTEE, blocks)
    return choose_parents(store, SCHEDULE, tips or Tips(), round_, author=author, own=own)


def test_first_round_misses_nothing():
    assert is_complete(make_store(COMMITTEE), SCHEDULE, 1)
    assert choose([], 1) == ()


def test_round_is_incomplete_without_the_leader_below():
    blocks = make_round(1, [], (0, 2, 3))
    assert not is_complete(make_store(COMMITTEE, blocks), SCHEDULE, 2)
    blocks += make_round(1, [], (1,))
    assert is_complete(make_store(COMMITTEE, blocks), SCHEDULE, 2)


def test_round_is_incomplete_while_the_leader_before_is_open():
    first = make_round(1, [])
    without = [block for block in first if block.author != 1]
    split = [*make_round(2, first, (1, 2)), *make_round(2, without, (0,))]
    assert not is_complete(make_store(COMMITTEE, [*first, *split]), SCHEDULE, 3)
    voted = [*split, *make_round(2, first, (3,))]
    assert is_complete(make_store(COMMITTEE, [*first, *voted]), SCHEDULE, 3)


def test_round_is_complete_where_the_leader_before_can_be_skipped():
    first = make_round(1, [], (0, 2, 3))
    second = make_round(2, first, (0, 2, 3))
    assert is_complete(make_store(COMMITTEE, [*first, *second]), SCHEDULE, 3)


def test_leader_before_does_not_matter_at_wave_two():
    committee = make_committee(6, "bft5")
    first = make_round(1, [], range(6))
    without = [block for block in first if block.author != 1]
    second = [*make_round(2, first, range(3)), *make_round(2, without, range(3, 6))]
    assert is_complete(make_store(committee, [*first, *second]), RoundRobin(committee), 3)


def test_own_previous_block_stands_first_and_others_follow_by_author():
    first = make_round(1, [])
    assert choose(first, 2, author=2, own=first[2]) == (first[2], first[0], first[1], first[3])


def test_own_blocks_are_no_parents_while_the_own_previous_is_unknown():
    first = make_round(1, [])
    assert choose(first, 2, author=2) == (first[0], first[1], first[3])


def test_late_block_is_taken_where_its_author_has_none_of_the_round_below():
    first = make_round(1, [])
    second = make_round(2, first[:3], (0, 1, 2))
    tips = Tips()
    for block in (*first, *second):
        tips.add(block)
    own = second[0]
    assert choose([*first, *second], 3, own=own, tips=tips) == (*second, first[3])
    assert tips.list_late(2) == [first[3]]
    tips.drop_below(1)
    assert tips.list_late(2) == []


def test_late_block_of_ones_own_and_a_second_of_one_author_are_left_out():
    first = make_round(1, [])
    second = make_round(2, first[1:], (1, 2, 3))
    twin = make_block(3, 1, variant="twin")
    tips = Tips()
    for block in (*first, twin, *second):
        tips.add(block)
    assert choose([*first, twin, *second], 3, tips=tips) == tuple(second)


def test_twin_that_votes_for_the_supported_leader_is_named():
    first = make_round(1, [])
    without = [block for block in first if block.author != 1]
    second = make_round(2, first, (0, 1, 2))
    twins = [*make_round(2, first, (3,)), *make_round(2, without, (3,), variant="twin")]
    assert choose([*first, *second, *twins], 3, own=second[0])[-1] == twins[0]


def test_twin_that_votes_for_no_leader_is_named_where_the_slot_can_be_skipped():
    first = make_round(1, [])
    without = [block for block in first if block.author != 1]
    second = make_round(2, without, (0, 2))
    twins = [*make_round(2, first, (3,)), *make_round(2, without, (3,), variant="twin")]
    assert choose([*first, *second, *twins], 3, own=second[0])[-1] == twins[1]
