"""Stake counts, not heads; and an author counts once."""

from __future__ import annotations

import msgspec
import pytest

from consensus.committee import (
    Committee,
    compute_next_committee,
    iterate_bits,
    make_first_committee,
)
from consensus.errors import InvalidCommittee
from consensus.protocol import make_profile
from dag.bodies import CommitteeChange, StakeChange
from dag.genesis import Validator
from dag.types import COUNTER_MAX
from tests.support.dag_builder import DagBuilder


def author(number: int) -> bytes:
    return number.to_bytes(32, "big")


def committee(*stakes: int) -> Committee:
    return Committee(7, [Validator(author(i), stake) for i, stake in enumerate(stakes)])


def test_committee_weighs_authors_by_stake():
    uneven, even = committee(5, 1, 1, 1), committee(2, 2, 2)
    assert (uneven.total_stake, uneven.thresholds.quorum, uneven.is_uniform) == (8, 6, False)
    assert [uneven.weigh(mask) for mask in (0, 0b0001, 0b1110, 0b1111)] == [0, 5, 3, 8]
    assert [even.weigh(mask) for mask in (0, 0b101, 0b111)] == [0, 4, 6]
    assert even.is_uniform
    assert (len(uneven), uneven.get_stake(0), uneven.get_stake(3)) == (4, 5, 1)


def test_committee_knows_positions_of_its_own_only():
    assert [committee(1, 1).get_index(author(i)) for i in range(3)] == [0, 1, None]


def test_bits_are_given_in_ascending_order():
    assert list(iterate_bits(0b1010_0001)) == [0, 5, 7]


def test_first_committee_is_that_of_the_genesis():
    genesis = DagBuilder(4).genesis
    first = make_first_committee(genesis)
    assert (first.epoch, first.validators, first.profile.name) == (0, genesis.committee, "bft3")


def test_seed_binds_network_epoch_members_and_last_commit():
    base = committee(1, 1)
    seeds = [
        base.compute_seed(b"n", b"c"),
        base.compute_seed(b"m", b"c"),
        base.compute_seed(b"n", b"d"),
        committee(1, 2).compute_seed(b"n", b"c"),
        Committee(8, base.validators).compute_seed(b"n", b"c"),
        Committee(7, base.validators, "cft").compute_seed(b"n", b"c"),
    ]
    assert len(dict.fromkeys(seeds)) == 6
    assert base.compute_seed(b"n", b"c") == seeds[0]


def test_profile_of_ones_own_is_made_for_the_stake():
    own = make_profile("cft", 3)
    assert Committee(0, committee(1, 1, 1).validators, own).profile is own
    with pytest.raises(InvalidCommittee, match="other stake"):
        Committee(0, committee(1, 1).validators, own)


@pytest.mark.parametrize(
    ("epoch", "members", "why"),
    [
        (-1, [Validator(author(0), 1)], "epoch -1"),
        (0, [], "1 to 128"),
        (0, [Validator(author(i), 1) for i in range(129)], "1 to 128"),
        (0, [Validator(author(0), 1), Validator(author(0), 1)], "named once"),
        (0, [Validator(b"short", 1)], "32 bytes"),
        (0, [Validator(author(0), 0)], "positive"),
        (0, [Validator(author(i), COUNTER_MAX) for i in range(2)], "is above"),
    ],
)
def test_committee_is_refused_when_no_epoch_can_have_it(epoch, members, why: str):
    with pytest.raises(InvalidCommittee, match=why):
        Committee(epoch, members)


def change(*stakes: tuple[int, int], **fields) -> CommitteeChange:
    items = tuple(StakeChange(author(number), stake) for number, stake in stakes)
    return CommitteeChange(items, **fields)


def test_next_committee_keeps_its_order_and_adds_by_author():
    following = compute_next_committee(
        committee(1, 2, 3), change((9, 4), (5, 1), (1, 0), (0, 7), profile="cft")
    )
    assert [(item.author, item.stake) for item in following.validators] == [
        (author(0), 7),
        (author(2), 3),
        (author(5), 1),
        (author(9), 4),
    ]
    assert (following.epoch, following.profile.name) == (8, "cft")


def test_next_committee_keeps_profile_and_members_when_only_parameters_change():
    current = committee(1, 2, 3)
    following = compute_next_committee(current, change(gc_commits=50))
    assert (following.validators, following.profile) == (current.validators, current.profile)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (change((0, 1), (0, 2)), "once"),
        (change((8, 0)), "no validator"),
        (change((0, 0), (1, 0)), "1 to 128"),
        (change((0, 1)), "changes nothing"),
        (change(profile="bft3"), "changes nothing"),
        (change(), "changes nothing"),
        (change((0, -1)), "positive"),
    ],
)
def test_next_committee_is_refused_when_no_epoch_can_have_it(wanted, why: str):
    with pytest.raises(InvalidCommittee, match=why):
        compute_next_committee(committee(1, 1), wanted)


def test_next_committee_needs_a_profile_that_has_a_name():
    own = msgspec.structs.replace(make_profile("cft", 2), name="own")
    current = Committee(0, committee(1, 1).validators, own)
    with pytest.raises(InvalidCommittee, match="'own'"):
        compute_next_committee(current, change((0, 2)))
    assert compute_next_committee(current, change(profile="cft")).profile.name == "cft"
