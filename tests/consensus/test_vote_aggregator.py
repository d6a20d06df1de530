"""Commit votes become certificates; liars and stragglers change nothing but their own count."""

from __future__ import annotations

from random import Random

import pytest

from consensus.block import CommitVote
from consensus.vote_aggregator import (
    CHECKPOINTS_KEPT,
    OPEN_ROOTS_MAX,
    OPEN_VOTES_MAX,
    CommitCertificate,
    VoteAggregator,
)
from dag.types import COUNTER_MAX, Ref
from tests.support.lattice import make_committee

DIGEST, OTHER, ROOT, WRONG = (bytes([i]) * 32 for i in range(1, 5))


def ref(number: int) -> Ref:
    return Ref(number, number.to_bytes(32, "big"))


def aggregate(members: int = 4, **options) -> VoteAggregator:
    return VoteAggregator(make_committee(members), **options)


def test_commit_is_certified_by_a_quorum_of_distinct_authors():
    votes = aggregate()
    for number, author in enumerate((2, 2, 0)):
        votes.add(author, [CommitVote(7, DIGEST)], ref(number))
    assert votes.commit is None
    votes.add(1, [CommitVote(7, DIGEST)], ref(9))
    assert votes.commit == CommitCertificate(7, DIGEST, b"", (ref(2), ref(9), ref(0)))


def test_stake_counts_and_not_heads():
    votes = VoteAggregator(make_committee([5, 1, 1]))
    votes.add(1, [CommitVote(1, DIGEST)], ref(1))
    votes.add(2, [CommitVote(1, DIGEST)], ref(2))
    assert votes.commit is None
    votes.add(0, [CommitVote(1, DIGEST)], ref(3))
    assert votes.commit is not None


def test_vote_says_nothing_of_lower_commits():
    votes = aggregate()
    for author, index in enumerate((5, 6, 7)):
        votes.add(author, [CommitVote(index, DIGEST)], ref(author))
    assert votes.commit is None


def test_votes_below_what_is_certified_are_forgotten():
    votes = aggregate(certified_index=3)
    for author in range(4):
        votes.add(author, [CommitVote(3, DIGEST)], ref(author))
    assert votes.commit is None
    for author in range(3):
        cast = [CommitVote(4, DIGEST), CommitVote(9, DIGEST), CommitVote(12, DIGEST)]
        votes.add(author, cast[: 3 - (author == 2)], ref(author))
    assert votes.commit is not None
    assert votes.commit.index == 9
    assert votes.add(3, [CommitVote(4, OTHER)], ref(3)) == ()
    votes.add(3, [CommitVote(12, DIGEST)], ref(3))
    assert votes.commit.index == 12


def test_root_and_commit_are_certified_apart():
    votes = aggregate()
    votes.add(0, [CommitVote(8, DIGEST)], ref(0))
    for author in (0, 1, 2):
        votes.add(author, [CommitVote(8, DIGEST, ROOT)], ref(10 + author))
    assert votes.commit == CommitCertificate(8, DIGEST, b"", (ref(0), ref(11), ref(12)))
    (checkpoint,) = votes.checkpoints
    assert checkpoint == CommitCertificate(8, DIGEST, ROOT, (ref(10), ref(11), ref(12)))


def test_late_root_still_certifies_after_later_commits():
    votes = aggregate()
    votes.add(0, [CommitVote(8, DIGEST, ROOT)], ref(0))
    for author in range(4):
        votes.add(author, [CommitVote(9, DIGEST)], ref(1))
    for author in (1, 2):
        votes.add(author, [CommitVote(8, DIGEST, ROOT)], ref(2))
    assert [checkpoint.index for checkpoint in votes.checkpoints] == [8]


def test_last_checkpoints_are_kept():
    votes = aggregate(1, checkpoint_index=2)
    for index in range(1, 10):
        votes.add(0, [CommitVote(index, DIGEST, ROOT)], ref(index))
    assert [kept.index for kept in votes.checkpoints] == list(range(10 - CHECKPOINTS_KEPT, 10))


@pytest.mark.parametrize("second", [CommitVote(5, OTHER), CommitVote(5, DIGEST, WRONG)])
def test_author_that_votes_twice_counts_once_and_is_named(second: CommitVote):
    votes = aggregate()
    first = CommitVote(5, DIGEST, ROOT)
    assert votes.add(0, [first], ref(1)) == ()
    (conflict,) = votes.add(0, [second], ref(2))
    assert (conflict.author, conflict.first_block, conflict.second_block) == (0, ref(1), ref(2))
    assert conflict.first != conflict.second
    for author in (1, 2):
        votes.add(author, [second], ref(3))
    certified = (votes.checkpoints, votes.commit)
    assert certified[0] == ()
    assert (certified[1] is None) is (second.digest != DIGEST)


def test_two_digests_with_roots_are_one_conflict():
    votes = aggregate()
    votes.add(0, [CommitVote(5, DIGEST, ROOT)], ref(1))
    assert len(votes.add(0, [CommitVote(5, OTHER, WRONG)], ref(2))) == 1


def test_flood_of_votes_is_bounded_and_hurts_its_author_alone():
    votes = aggregate()
    random = Random(1)
    votes.add(1, [CommitVote(10, DIGEST, ROOT)], ref(0))
    for index in (10, 11):
        votes.add(0, [CommitVote(index, DIGEST, ROOT)], ref(0))
    for number in range(3 * OPEN_VOTES_MAX):
        index = random.randrange(12, COUNTER_MAX)
        votes.add(0, [CommitVote(index, DIGEST, ROOT)], ref(number))
    for tally, most in ((votes._commits, OPEN_VOTES_MAX), (votes._roots, OPEN_ROOTS_MAX)):
        assert len(tally._votes) == len(tally._open) == most + 1
        assert len(tally._held[0]) == most
    votes.add(0, [CommitVote(10, DIGEST, ROOT)], ref(1))
    votes.add(2, [CommitVote(10, DIGEST, ROOT)], ref(1))
    assert votes.commit is None
    votes.add(3, [CommitVote(10, DIGEST, ROOT)], ref(2))
    assert votes.commit is not None
    assert len(votes.checkpoints) == 1


def test_any_order_certifies_the_same_commit():
    cast = [(author, CommitVote(index, DIGEST)) for author in range(4) for index in range(1, 20)]
    for seed in range(20):
        votes = aggregate()
        for number, (author, vote) in enumerate(Random(seed).sample(cast, len(cast))):
            votes.add(author, [vote], ref(number))
        assert votes.commit is not None
        assert votes.commit.index == 19
        assert not votes._commits._votes
        assert not any(votes._commits._held)
