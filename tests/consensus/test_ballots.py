"""The ballots on one proposal."""

from __future__ import annotations

from consensus.ballots import (
    NO_WINNER,
    REASONS_BYTES_MAX,
    Ballot,
    Electorate,
    OpenProposal,
    ProposalRecord,
)
from consensus.committee import Committee
from dag.genesis import Validator
from tests.support.decision_scene import author, question

COMMITTEE = Committee(0, [Validator(author(i), weight) for i, weight in enumerate((3, 1, 1))])
MEMBERS = {author(number): 0 for number in range(5)}


def make_proposal(**fields) -> OpenProposal:
    return OpenProposal(ProposalRecord(bytes(32), author(0), question(**fields), 1))


def test_stake_weighs_and_strictly_more_than_the_threshold_wins():
    proposal, electorate = make_proposal(threshold=(3, 5)), Electorate(COMMITTEE, MEMBERS)
    proposal.cast(Ballot(author(0), 1, "", b"v"))
    record = proposal.count(electorate)
    assert (record.weights, record.total, record.winner) == ((0, 3, 0), 5, NO_WINNER)
    proposal.cast(Ballot(author(2), 1, "", b"w"))
    assert proposal.count(electorate).winner == 1


def test_members_weigh_alike_when_they_are_the_electorate():
    proposal, electorate = make_proposal(electorate="members"), Electorate(COMMITTEE, MEMBERS)
    for number in (0, 1, 4, 9):
        proposal.cast(Ballot(author(number), 0, "", b"v"))
    record = proposal.count(electorate)
    assert (record.weights, record.total, record.winner) == ((3, 0, 0), 5, 0)


def test_the_last_ballot_of_an_author_counts_and_takes_its_place_in_order():
    proposal, electorate = make_proposal(), Electorate(COMMITTEE, MEMBERS)
    for number, option in ((0, 0), (1, 1), (0, 2)):
        proposal.cast(Ballot(author(number), option, "why", b"v"))
    record = proposal.count(electorate)
    assert record.weights == (0, 1, 3)
    assert [(ballot.author, ballot.option) for ballot in record.ballots] == [
        (author(1), 1),
        (author(0), 2),
    ]


def test_who_has_left_the_committee_weighs_nothing():
    proposal = make_proposal()
    proposal.cast(Ballot(author(0), 0, "", b"v"))
    later = Electorate(Committee(1, [Validator(author(1), 1)]), MEMBERS)
    assert proposal.count(later).weights == (0, 0, 0)


def test_reasons_beyond_the_bound_are_left_to_their_vertices():
    proposal = make_proposal(electorate="members")
    long = "ä" * 1_000
    for number in range(REASONS_BYTES_MAX // 2_000 + 1):
        proposal.cast(Ballot(author(number), 0, long, b"v"))
    assert [ballot.reason for ballot in proposal.freeze().ballots].count("") == 1
    proposal.cast(Ballot(author(0), 0, "", b"v"))
    proposal.cast(Ballot(author(1), 0, long, b"v"))
    frozen = proposal.freeze()
    assert [ballot.reason for ballot in frozen.ballots].count("") == 2
    again = OpenProposal(frozen)
    again.cast(Ballot(author(2), 0, long, b"v"))
    proposal.cast(Ballot(author(2), 0, long, b"v"))
    assert again.freeze() == proposal.freeze()
