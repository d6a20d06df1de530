"""What a proposal and a ballot must be, one rule after the other."""

from __future__ import annotations

import pytest

from consensus.errors import InvalidDecision
from consensus.proposal_rules import GC_COMMITS_MAX, check_ballot, check_proposal
from dag.bodies import DECISION_DECODER, BallotBody, CommitteeChange, ProposalBody, StakeChange
from dag.canonical import encode
from dag.errors import MalformedMessage

ID = bytes(32)
PLAIN = ProposalBody("Tea?", ("yes", "no"), 5, "members", 1, 2)
ACTION = ProposalBody("Add?", ("yes", "no"), 5, "stake", 2, 3, CommitteeChange(gc_commits=5))


def change(body: ProposalBody, **fields) -> ProposalBody:
    names = ProposalBody.__struct_fields__
    return ProposalBody(**{**{name: getattr(body, name) for name in names}, **fields})


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        ACTION,
        change(PLAIN, question="?" * 500, options=tuple("abcdefghijklmnop")),
        change(PLAIN, options=("x" * 100, "y")),
        change(ACTION, threshold_num=999_999, threshold_den=1_000_000),
    ],
)
def test_proposal_is_accepted_up_to_its_limits(body: ProposalBody):
    check_proposal(body)
    assert DECISION_DECODER.decode(encode(body)) == body


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (change(PLAIN, question=""), "a question"),
        (change(PLAIN, question="?" * 501), "a question"),
        (change(PLAIN, options=("a",)), "2 to 16"),
        (change(PLAIN, options=tuple("abcdefghijklmnopq")), "2 to 16"),
        (change(PLAIN, options=("a", "")), "an option"),
        (change(PLAIN, options=("a", "b" * 101)), "an option"),
        (change(PLAIN, options=("a", "b", "a")), "differ"),
        (change(PLAIN, deadline_ms=-1), "deadline"),
        (change(PLAIN, deadline_ms=2**63), "deadline"),
        (change(PLAIN, threshold_den=0), "fraction"),
        (change(PLAIN, threshold_den=1_000_001), "fraction"),
        (change(PLAIN, threshold_num=2), "fraction"),
        (change(PLAIN, threshold_num=-1), "fraction"),
        (change(PLAIN, threshold_num=1, threshold_den=3), "at least 1/2"),
        (change(ACTION, options=("no", "yes")), "yes or no"),
        (change(ACTION, electorate="members"), "by stake"),
        (change(ACTION, action=CommitteeChange(gc_commits=-1)), "gc_commits"),
        (change(ACTION, action=CommitteeChange(gc_commits=GC_COMMITS_MAX + 1)), "gc_commits"),
        (change(ACTION, action=CommitteeChange((StakeChange(b"short", 1),))), "32 bytes"),
        (change(ACTION, action=CommitteeChange((StakeChange(ID, -1),))), "stake"),
        (change(ACTION, action=CommitteeChange((StakeChange(ID, 2**63),))), "stake"),
    ],
)
def test_proposal_is_refused_when_it_breaks_a_rule(body: ProposalBody, why: str):
    with pytest.raises(InvalidDecision, match=why):
        check_proposal(body)


@pytest.mark.parametrize("body", [BallotBody(ID, 0), BallotBody(ID, 15, "x" * 1_000)])
def test_ballot_is_accepted_up_to_its_limits(body: BallotBody):
    check_ballot(body)
    assert DECISION_DECODER.decode(encode(body)) == body


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (BallotBody(b"short", 0), "32 bytes"),
        (BallotBody(ID, -1), "position"),
        (BallotBody(ID, 16), "position"),
        (BallotBody(ID, 0, "x" * 1_001), "reason"),
    ],
)
def test_ballot_is_refused_when_it_breaks_a_rule(body: BallotBody, why: str):
    with pytest.raises(InvalidDecision, match=why):
        check_ballot(body)


@pytest.mark.parametrize(
    "data",
    [b"", encode((3, ID, 0, "")), encode((2, ID, 0)), encode(("2", ID, 0, "")), encode(None)],
)
def test_other_bodies_do_not_decode(data: bytes):
    with pytest.raises(MalformedMessage):
        DECISION_DECODER.decode(data)
