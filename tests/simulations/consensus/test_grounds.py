"""Decisions against their definition: right ones pass, and each kind of wrong one is named."""

from __future__ import annotations

import pytest

from consensus.block import Block
from consensus.decision import Decision, Slot, Status
from simulations.consensus.grounds import Grounds, compute_quorum
from simulations.errors import CheckFailed
from tests.support.lattice import make_block, make_committee, make_store

GROUNDS = Grounds("bft3", (1, 1, 1, 1))


def make_rounds(rounds, *, without=None):
    """Full rounds of four; nobody builds on the block of `without` = (author, round)."""
    below: list[Block] = []
    blocks = []
    for round_ in range(1, rounds + 1):
        parents = [one for one in below if (one.author, one.round) != without]
        below = [
            make_block(author, round_, sorted(parents, key=lambda one: one.author != author))
            for author in range(4)
        ]
        blocks.append(below)
    return blocks, make_store(make_committee(4), [block for row in blocks for block in row])


@pytest.mark.parametrize(
    ("profile", "stake", "quorum"),
    [("bft3", 3, 3), ("bft3", 4, 3), ("bft3", 6, 5), ("bft5", 6, 5), ("bft5", 5, 5), ("cft", 5, 3)],
)
def test_quorums_are_those_of_the_definition(profile: str, stake: int, quorum: int):
    assert compute_quorum(profile, stake) == quorum


def test_direct_commit_needs_certificates_of_a_quorum():
    blocks, store = make_rounds(3)
    GROUNDS.check(store, Decision(Slot(1, 0), 1, Status.COMMIT, blocks[0][1]))
    with pytest.raises(CheckFailed, match="committed by stake 0 of 3"):
        GROUNDS.check(store, Decision(Slot(2, 0), 2, Status.COMMIT, blocks[1][2]))


def test_votes_commit_at_wave_two():
    blocks, store = make_rounds(2)
    Grounds("cft", (1, 1, 1, 1)).check(store, Decision(Slot(1, 0), 1, Status.COMMIT, blocks[0][1]))


def test_skip_needs_a_quorum_that_votes_for_nothing_in_the_slot():
    _, store = make_rounds(2, without=(1, 1))
    GROUNDS.check(store, Decision(Slot(1, 0), 1, Status.SKIP))
    with pytest.raises(CheckFailed, match="skipped by stake 0 of 3"):
        GROUNDS.check(store, Decision(Slot(1, 0), 2, Status.SKIP))
    with pytest.raises(CheckFailed, match="skipped by stake 0 of 3"):
        GROUNDS.check(store, Decision(Slot(5, 0), 1, Status.SKIP))


def test_anchor_stands_a_wave_above_and_has_a_certificate_below_it():
    blocks, store = make_rounds(5, without=(2, 1))
    anchor = blocks[3][0]
    GROUNDS.check(store, Decision(Slot(1, 0), 1, Status.COMMIT, blocks[0][1], anchor))
    GROUNDS.check(store, Decision(Slot(1, 0), 2, Status.SKIP, None, anchor))
    with pytest.raises(CheckFailed, match="no certificate below"):
        GROUNDS.check(store, Decision(Slot(1, 0), 2, Status.COMMIT, blocks[0][2], anchor))
    with pytest.raises(CheckFailed, match="decided by a block of round 3"):
        GROUNDS.check(store, Decision(Slot(1, 0), 1, Status.SKIP, None, blocks[2][0]))
