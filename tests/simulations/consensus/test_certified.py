"""Twins of which both are certified: only more liars than are borne can do that."""

from __future__ import annotations

import pytest

from simulations.consensus.certified import Certified
from simulations.errors import CheckFailed
from tests.support.lattice import make_block, make_committee, make_store


def make_twins():
    """Two blocks of author 1, and the first blocks of the others."""
    twins = (make_block(1, 1), make_block(1, 1, variant="twin"))
    return twins, [make_block(author, 1) for author in (0, 2, 3)]


def vote(author, twin, others, variant=""):
    """A block of round 2 over one of the twins."""
    own = [one for one in others if one.author == author] or [twin]
    rest = [one for one in (*others, twin) if one not in own]
    return make_block(author, 2, [*own, *rest], variant=variant)


def offer(certified, store, *blocks):
    for block in blocks:
        certified.on_accepted(store, block)


@pytest.mark.parametrize("profile", ["bft3", "bft5"])
def test_votes_that_are_parted_certify_neither(profile):
    (left, right), others = make_twins()
    votes = [vote(0, left, others), vote(2, left, others), vote(3, right, others)]
    committee = make_committee(4, profile)
    store = make_store(committee, [left, right, *others, *votes])
    certified = Certified(committee, 3, {1: None})
    offer(certified, store, *votes, *votes)
    offer(certified, store, make_block(0, 3, votes))


def test_second_certificate_at_wave_three_is_found():
    (left, right), others = make_twins()
    for_left = [vote(author, left, others) for author in (0, 2, 3)]
    for_right = [vote(author, right, others, "liar") for author in (0, 2, 3)]
    committee = make_committee(4, "bft3")
    store = make_store(committee, [left, right, *others, *for_left, *for_right])
    certified = Certified(committee, 3, {1: None})
    offer(certified, store, *for_left, make_block(0, 3, for_left))
    with pytest.raises(CheckFailed, match="both twins of slot"):
        offer(certified, store, make_block(2, 3, for_right))


def test_second_quorum_of_votes_at_wave_two_is_found():
    (left, right), others = make_twins()
    committee = make_committee(4, "cft")
    votes = [vote(author, left, others) for author in (0, 2, 3)]
    more = [vote(author, right, others, "liar") for author in (0, 2, 3)]
    store = make_store(committee, [left, right, *others, *votes, *more])
    certified = Certified(committee, 3, {1: None})
    offer(certified, store, *votes, *more[:2])
    with pytest.raises(CheckFailed, match="both twins of slot"):
        offer(certified, store, more[2])


def test_authors_that_do_as_they_should_cost_nothing():
    certified = Certified(make_committee(4), 3, {})
    certified.on_accepted(make_store(make_committee(4), []), make_block(0, 1))
