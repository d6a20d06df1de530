"""The question whether somebody is to be expelled."""

from __future__ import annotations

import pytest

from consensus.ballots import get_change_threshold
from consensus.committee import Committee, compute_next_committee
from consensus.errors import InvalidDecision
from consensus.expulsions import REASON_CHARACTERS_MAX, check_expulsion, make_expulsion_proposal
from consensus.proposal_rules import check_proposal
from dag.bodies import CommitteeChange, ExpulsionBody, IdentityRevocation
from dag.genesis import Validator
from dag.types import COUNTER_MAX, Kind
from tests.support.decision_scene import (
    DecisionScene,
    author,
    expulsion,
    motion,
    question,
    stake,
)

MEMBER = b"\7" * 32


@pytest.mark.parametrize(
    "body",
    [
        ExpulsionBody(b"short", "why", 1),
        ExpulsionBody(MEMBER, "", 1),
        ExpulsionBody(MEMBER, "x" * (REASON_CHARACTERS_MAX + 1), 1),
        ExpulsionBody(MEMBER, "why", -1),
        ExpulsionBody(MEMBER, "why", COUNTER_MAX + 1),
    ],
)
def test_what_cannot_be_asked_is_refused(body: ExpulsionBody):
    with pytest.raises(InvalidDecision):
        check_expulsion(body)


@pytest.mark.parametrize("profile", ["bft3", "cft"])
def test_question_is_one_that_can_be_put_and_needs_what_a_change_needs(profile):
    committee = Committee(0, [Validator(MEMBER, 1)], profile)
    body = ExpulsionBody(MEMBER, "x" * REASON_CHARACTERS_MAX, 5)
    check_expulsion(body)
    proposal = make_expulsion_proposal(committee, body)
    check_proposal(proposal)
    assert (proposal.threshold_num, proposal.threshold_den) == get_change_threshold(committee)
    assert (proposal.electorate, proposal.action, proposal.deadline_ms) == ("stake", None, 5)


def get(scene: DecisionScene, proposal: bytes):
    record = scene.decisions.get(proposal)
    assert record is not None
    return record


def test_expelled_member_is_out_from_the_commit_that_decides():
    scene = DecisionScene(4)
    proposal = scene.put(0, expulsion(3, reason="floods"))
    record = get(scene, proposal)
    assert record.body.question == f"Shall {author(3).hex()[:8]} be expelled? floods"
    scene.vote(proposal, 0, 1)
    assert (scene.status(proposal), scene.roll.is_gone(author(3))) == ("open", False)
    scene.vote(proposal, 2)
    assert scene.status(proposal) == "passed"
    gone = scene.roll.get(author(3))
    assert gone is not None
    assert (gone.standing, gone.since, gone.cause, gone.reason) == (
        "expelled",
        3,
        proposal,
        "floods",
    )
    ignored = scene.decisions.ignored_count
    scene.put(3, question())
    assert scene.decisions.ignored_count == ignored + 1


def test_expelled_validator_loses_its_seat_by_the_same_decision():
    scene = DecisionScene(4)
    proposal = scene.put(0, expulsion(3))
    scene.vote(proposal, 0, 1, 2)
    scene.commit()
    assert scene.decisions.take_change() == CommitteeChange((stake(3, 0),))
    assert not scene.decisions.has_change


def test_seat_of_who_is_out_is_taken_once_in_an_epoch_and_again_where_it_stayed():
    scene = DecisionScene(4)
    scene.commit(scene.say(3, IdentityRevocation("stolen"), kind=Kind.MEMBERSHIP))
    assert scene.decisions.take_change() == CommitteeChange((stake(3, 0),))
    scene.commit()
    assert not scene.decisions.has_change
    scene.set_committee(compute_next_committee(scene.committee, CommitteeChange((stake(2, 5),))))
    scene.commit()
    assert scene.decisions.take_change() == CommitteeChange((stake(3, 0),))


def test_seat_that_another_change_has_taken_is_not_taken_twice():
    scene = DecisionScene(4)
    proposal = scene.put(0, motion(CommitteeChange((stake(3, 0),))))
    scene.commit(scene.say(3, IdentityRevocation(""), kind=Kind.MEMBERSHIP))
    scene.vote(proposal, 0, 1, 2)
    removal = CommitteeChange((stake(3, 0),))
    assert scene.decisions.take_change() == removal
    scene.set_committee(compute_next_committee(scene.committee, removal))
    assert scene.decisions.take_change() is None


@pytest.mark.parametrize(
    ("number", "reason"), [(7, "is no member"), (3, "this is being decided"), (0, "")]
)
def test_expulsion_is_asked_once_and_of_members_only(number: int, reason: str):
    scene = DecisionScene(4)
    scene.put(0, expulsion(3))
    before = scene.decisions.ignored_count
    proposal = scene.put(1, expulsion(number))
    record = scene.decisions.get(proposal)
    if number == 3:
        assert (record, scene.decisions.ignored_count) == (None, before + 1)
    else:
        assert record is not None
        assert (record.status, reason in record.reason) == ("invalid" if reason else "open", True)


def test_last_validator_cannot_be_expelled():
    scene = DecisionScene(1)
    scene.commit(scene.say(5, kind=Kind.NOTE))
    assert scene.status(scene.put(5, expulsion(0))) == "invalid"


def test_expulsion_of_who_has_left_meanwhile_is_invalid():
    scene = DecisionScene(4)
    proposal = scene.put(0, expulsion(3))
    scene.commit(scene.say(3, IdentityRevocation(""), kind=Kind.MEMBERSHIP))
    scene.vote(proposal, 0, 1, 2)
    assert scene.status(proposal) == "invalid"


def test_expulsion_fails_where_no_wins():
    scene = DecisionScene(4)
    proposal = scene.put(0, expulsion(3))
    scene.vote(proposal, 0, 1, 2, option=1)
    assert (scene.status(proposal), scene.roll.is_gone(author(3))) == ("failed", False)


def test_expulsion_needs_as_much_as_a_change_when_it_passes():
    scene = DecisionScene(4)
    scene.set_committee(Committee(1, scene.committee.validators, "cft"))
    proposal = scene.put(0, expulsion(3))
    scene.set_committee(Committee(2, scene.committee.validators, "bft3"))
    scene.vote(proposal, 0, 1)
    assert scene.status(proposal) == "open"


def test_seat_for_who_is_out_is_refused():
    scene = DecisionScene(4)
    scene.commit(scene.say(5, kind=Kind.NOTE))
    scene.commit(scene.say(5, IdentityRevocation(""), kind=Kind.MEMBERSHIP))
    assert scene.status(scene.put(0, motion(CommitteeChange((stake(5, 1),))))) == "invalid"
