"""Money that invitations promise: once, where it is covered, and never for who needs no invitation."""

from __future__ import annotations

import msgspec
import pytest

from dag.bodies import Invitation, Profile, SignedInvitation
from dag.canonical import encode
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from market.events import REFUSED
from market.genesis import Grant, MarketGenesis
from market.state import MarketState
from tests.support.market_scene import NETWORK, Keys, MarketScene, get_account

INVITER, NEWCOMER, ANOTHER = get_account(0), b"n" * 32, b"m" * 32
INVITATION = Invitation(NETWORK, INVITER, b"b" * 32, "peer", 1, 0, 400)


def make_profile(
    author: bytes,
    invitation: Invitation | None = INVITATION,
    *,
    lamport: int = 2,
    body: bytes | None = None,
) -> SignedVertex:
    carried = b"" if invitation is None else encode(SignedInvitation(encode(invitation), b"", b""))
    profile = Profile(b"e", b"", b"x", b"", b"p", "new", (), carried)
    data = encode(profile) if body is None else body
    vertex = Vertex(1, NETWORK, author, LANE_SPEECH, 0, lamport, Kind.PROFILE, 0, (), data)
    return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")


def get_free(scene: MarketScene, account: bytes) -> int:
    return scene.state.ledger.get(account).free


def test_newcomer_is_given_what_its_invitation_promises_when_its_profile_is_ordered():
    scene = MarketScene(money=1_000)
    profile = make_profile(NEWCOMER)
    events = scene.apply([profile])
    assert (get_free(scene, INVITER), get_free(scene, NEWCOMER)) == (600, 400)
    assert [(each.kind, each.account, each.subject, each.amount) for each in events] == [
        ("sent", INVITER, profile.id, 400),
        ("received", NEWCOMER, profile.id, 400),
    ]


def test_newcomer_is_welcomed_once_however_many_first_profiles_it_signs():
    scene = MarketScene(money=1_000)
    other = msgspec.structs.replace(INVITATION, bearer_key=b"c" * 32)
    scene.apply([make_profile(NEWCOMER)])
    events = scene.apply([make_profile(NEWCOMER, other)])
    assert get_free(scene, NEWCOMER) == 400
    assert [(each.kind, each.detail) for each in events] == [(REFUSED, "already_done")] * 2
    assert {each.account for each in events} == {INVITER, NEWCOMER}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grant_uruv": 1_001}, "insufficient_funds"),
        ({"expires_ms": 1}, "invitation_expired"),
    ],
)
def test_welcome_is_refused_and_recorded_when_it_cannot_be(changes: dict, code: str):
    scene = MarketScene(money=1_000)
    events = scene.apply([make_profile(NEWCOMER, msgspec.structs.replace(INVITATION, **changes))])
    assert [each.detail for each in events] == [code, code]
    assert get_free(scene, INVITER) == 1_000


def test_invitation_pays_no_more_newcomers_than_it_has_uses_also_after_a_snapshot():
    scene = MarketScene(money=1_000)
    twice = msgspec.structs.replace(INVITATION, uses=2)
    scene.apply([make_profile(NEWCOMER, twice)])
    scene.state.restore(scene.state.snapshot())
    scene.apply([make_profile(ANOTHER, twice)])
    events = scene.apply([make_profile(b"o" * 32, twice)])
    assert [each.detail for each in events] == ["invitation_used_up"] * 2
    assert get_free(scene, INVITER) == 200


@pytest.mark.parametrize(
    "profile",
    [
        make_profile(NEWCOMER, None),
        make_profile(NEWCOMER, msgspec.structs.replace(INVITATION, grant_uruv=0)),
        make_profile(NEWCOMER, body=b"no profile"),
    ],
)
def test_profile_moves_no_money_when_no_invitation_promises_any(profile: SignedVertex):
    scene = MarketScene(money=1_000)
    assert scene.apply([profile]) == []


def test_founder_is_given_nothing_because_nobody_checked_its_invitation():
    scene = MarketScene()
    genesis = MarketGenesis(NETWORK, "ed25519", (Grant(INVITER, 1_000),), (NEWCOMER,))
    scene.state = MarketState(genesis, Keys())
    assert scene.apply([make_profile(NEWCOMER)]) == []


def test_newcomer_can_invite_in_the_same_commit_with_what_it_was_given():
    scene = MarketScene(money=1_000)
    next_one = Invitation(NETWORK, NEWCOMER, b"d" * 32, "peer", 1, 0, 300)
    scene.apply([make_profile(ANOTHER, next_one, lamport=3), make_profile(NEWCOMER, lamport=2)])
    assert (get_free(scene, NEWCOMER), get_free(scene, ANOTHER)) == (100, 300)
