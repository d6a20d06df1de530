"""The last commit of an epoch follows from the votes that are in the output."""

from __future__ import annotations

from consensus.block import Block, CommitVote
from consensus.committee import Committee
from consensus.epoch import OrderedVotes
from dag.genesis import Validator
from dag.types import Ref

VOTE = CommitVote(7, bytes(32), b"r" * 32)


def make_block(author: int, *votes: CommitVote) -> Block:
    return Block(Ref(1, bytes([author] * 32)), author, 5, (), votes=votes)


def make_votes(*stakes: int) -> OrderedVotes:
    members = [Validator(bytes([i] * 32), stake) for i, stake in enumerate(stakes)]
    return OrderedVotes(Committee(0, members), VOTE)


def test_a_quorum_of_stake_counts_each_author_once():
    votes = make_votes(1, 1, 1, 1)
    votes.observe([make_block(0, VOTE), make_block(0, VOTE), make_block(1, VOTE)])
    assert not votes.is_quorum
    votes.observe([make_block(3, CommitVote(6, bytes(32)), VOTE)])
    assert votes.is_quorum
    assert [votes.has(author) for author in range(4)] == [True, True, False, True]
    assert votes.vote == VOTE


def test_stake_counts_not_heads():
    votes = make_votes(1, 1, 5)
    votes.observe([make_block(0, VOTE), make_block(1, VOTE)])
    assert not votes.is_quorum
    votes.observe([make_block(2, VOTE)])
    assert votes.is_quorum


def test_another_digest_another_root_or_a_later_commit_is_no_vote_for_it():
    votes = make_votes(1)
    for other in (
        CommitVote(7, b"x" * 32, VOTE.root),
        CommitVote(7, VOTE.digest, b"x" * 32),
        CommitVote(7, VOTE.digest),
        CommitVote(8, VOTE.digest, VOTE.root),
    ):
        votes.observe([make_block(0, other)])
    assert not votes.is_quorum
    assert not votes.has(0)
