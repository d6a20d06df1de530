"""Who was invited as a validator is proposed as one, as often as the invitation says."""

from __future__ import annotations

import msgspec
import pytest

from consensus.errors import InvalidDecision
from consensus.proposal_rules import check_proposal
from consensus.validator_invitations import (
    INVITATIONS_MAX,
    VOTING_PERIOD_MS,
    InvitationUses,
    make_seat_proposal,
    read_request,
)
from dag.bodies import Invitation
from dag.errors import InvalidMessage
from dag.types import COUNTER_MAX
from tests.support.dag_builder import START_MS, make_person
from tests.support.decision_scene import HOUR_MS, DecisionScene, author, stake

LATER_MS = START_MS + HOUR_MS


def invitation(bearer: int, *, inviter: bytes = b"i", uses: int = 1, expires_ms: int = 0):
    key = bearer.to_bytes(32, "big")
    return Invitation(bytes(32), inviter, key, "validator", uses, expires_ms, 0)


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
    assert author(4).hex()[:8] in record.body.question
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
    assert scene.decisions.ignored_count == 1


def test_seat_is_not_asked_for_twice_at_once():
    scene = DecisionScene(4)
    first, second = (scene.join(4, 0, uses=2) for _ in range(2))
    assert (scene.status(first), scene.status(second)) == ("open", "")


def test_uses_are_counted_in_commit_order():
    scene = DecisionScene(4)
    proposals = [scene.join(number, 0, uses=2) for number in (4, 5, 6)]
    assert [scene.status(proposal) for proposal in proposals] == ["open", "open", ""]
    other = scene.join(7, 0, bearer=8)
    assert scene.status(other) == "open"


def test_expired_invitations_make_room_for_others_of_their_inviter():
    uses = InvitationUses()
    for bearer in range(INVITATIONS_MAX):
        uses.take(invitation(bearer, expires_ms=LATER_MS), START_MS)
    with pytest.raises(InvalidDecision, match="too many"):
        uses.take(invitation(INVITATIONS_MAX), START_MS)
    uses.take(invitation(INVITATIONS_MAX, inviter=b"other"), START_MS)
    uses.take(invitation(INVITATIONS_MAX), LATER_MS)
    assert len(uses.uses) == 2


def test_request_is_worth_nothing_in_other_hands():
    scene = DecisionScene(4)
    request, other = scene.request(4, 0), make_person(1).keys
    assert read_request(request, scene.network, "ed25519", author(4)).inviter == author(0)
    forged = [
        (request, author(5), scene.network),
        (request, author(4), bytes(32)),
        (msgspec.structs.replace(request, ed25519_key=other.ed25519_key), author(4), scene.network),
        (msgspec.structs.replace(request, ed25519_key=b""), author(4), scene.network),
        (msgspec.structs.replace(request, invitation=b"x"), author(4), scene.network),
    ]
    for body, holder, network in forged:
        with pytest.raises(InvalidMessage):
            read_request(body, network, "ed25519", holder)
    with pytest.raises(InvalidMessage):
        read_request(request, scene.network, "hybrid", author(4))


def test_proposal_for_a_seat_keeps_the_rules_of_all_proposals():
    scene = DecisionScene(1, stakes=(COUNTER_MAX,))
    check_proposal(make_seat_proposal(scene.committee, author(1), START_MS))
