"""Who joins as a validator is proposed as one, as often as the invitation says."""

from __future__ import annotations

import pytest

from consensus.validator_invitations import (
    INVITATIONS_MAX,
    VOTING_PERIOD_MS,
    InvitationUses,
    find_admission,
)
from dag.bodies import Invitation
from dag.types import Kind
from tests.support.dag_builder import START_MS, make_person
from tests.support.decision_scene import HOUR_MS, DecisionScene, author, stake

LATER_MS = START_MS + HOUR_MS


def invitation(bearer: int, *, uses: int = 1, expires_ms: int = 0) -> Invitation:
    return Invitation(
        bytes(32), bytes(32), bearer.to_bytes(32, "big"), "validator", uses, expires_ms, 0
    )


def test_joiner_gets_a_proposal_with_the_smallest_stake_and_the_inviters_yes():
    scene = DecisionScene(4, stakes=(5, 2, 3, 4))
    proposal = scene.join(4, 1)
    record = scene.decisions.get(proposal)
    assert record is not None and record.body.action is not None
    assert (record.status, record.proposer, record.body.deadline_ms) == (
        "open",
        author(1),
        START_MS + VOTING_PERIOD_MS,
    )
    assert record.body.action.stakes == (stake(4, 2),)
    assert (record.weights, record.total) == ((2, 0), 14)
    assert "'peer-4'" in record.body.question
    scene.vote(proposal, 0, 2)
    scene.vote(proposal, 3)
    assert scene.status(proposal) == "passed"


def test_lone_founders_invitation_passes_at_once():
    scene = DecisionScene(1)
    proposal = scene.join(1, 0)
    assert scene.status(proposal) == "passed"
    change = scene.decisions.take_change()
    assert change is not None and change.stakes == (stake(1, 1),)


@pytest.mark.parametrize(
    "options",
    [{"role": "peer"}, {"expires_ms": START_MS}, {"inviter": 5}, {"number": 2}],
    ids=["as a peer", "expired", "by a guest", "has a seat"],
)
def test_nothing_is_proposed_when_the_invitation_does_not_give_a_seat(options):
    scene = DecisionScene(4)
    scene.join(**{"number": 4, "inviter": 0, **options})
    assert scene.decisions.list_proposals() == ()
    assert scene.decisions.ignored_count == 0


def test_nameless_joiner_is_called_by_its_id():
    scene = DecisionScene(1)
    vertex = scene.say(0, make_person(0).profile(), kind=Kind.PROFILE).vertex
    assert find_admission(vertex, scene.committee, START_MS) is None
    proposal = scene.join(1, 0)
    record = scene.decisions.get(proposal)
    assert record is not None and author(1).hex()[:16] in record.body.question


def test_profile_that_does_not_decode_proposes_nothing():
    scene = DecisionScene(1)
    vertex = scene.say(1, b"garbage", kind=Kind.PROFILE).vertex
    assert find_admission(vertex, scene.committee, START_MS) is None


def test_uses_are_counted_in_commit_order():
    scene = DecisionScene(4)
    proposals = [scene.join(number, 0, uses=2) for number in (4, 5, 6)]
    assert [scene.status(proposal) for proposal in proposals] == ["open", "open", ""]
    other = scene.join(7, 0, bearer=8)
    assert scene.status(other) == "open"


def test_expired_invitations_make_room_for_others():
    uses = InvitationUses()
    for bearer in range(INVITATIONS_MAX):
        assert uses.take(invitation(bearer, expires_ms=LATER_MS), START_MS)
    assert not uses.take(invitation(INVITATIONS_MAX), START_MS)
    assert uses.take(invitation(INVITATIONS_MAX), LATER_MS)
    assert len(uses.uses) == 1
