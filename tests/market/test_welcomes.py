"""Money that invitations promise: once, where it is covered, and never for who needs no invitation."""

from __future__ import annotations

import msgspec
import nacl.bindings
import pytest

from dag.bodies import Invitation, Profile, ProvenInvitation, SignedInvitation
from dag.canonical import encode
from dag.identity import prove_bearer, sign_invitation
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from market.events import REFUSED
from market.genesis import Grant, MarketGenesis
from market.state import MarketState
from tests.support.dag_builder import make_person
from tests.support.market_scene import (
    NETWORK,
    Keys,
    MarketScene,
    find_keys,
    get_account,
    get_secrets,
)

INVITER, NEWCOMER, ANOTHER = get_account(0), b"n" * 32, b"m" * 32
INVITATION = Invitation(NETWORK, INVITER, b"b" * 32, "peer", 1, 0, 400)
GUEST = make_person(90)
"""Its first profile came too late to be ordered."""
BEARER_SEED = b"t" * 32
TICKET = msgspec.structs.replace(
    INVITATION, bearer_key=nacl.bindings.crypto_sign_seed_keypair(BEARER_SEED)[0]
)


def make_profile(
    author: bytes,
    invitation: Invitation | None = INVITATION,
    *,
    lamport: int = 2,
    body: bytes | None = None,
    seq: int = 0,
) -> SignedVertex:
    carried = b"" if invitation is None else encode(SignedInvitation(encode(invitation), b"", b""))
    profile = Profile(b"e", b"", b"x", b"", b"p", "new", (), carried)
    data = encode(profile) if body is None else body
    vertex = Vertex(1, NETWORK, author, LANE_SPEECH, seq, lamport, Kind.PROFILE, 0, (), data)
    return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")


def repeat_profile(
    invitation: Invitation = TICKET, *, author: bytes = GUEST.author, seq: int = 1
) -> SignedVertex:
    """The guest's profile, said again, as the profile of whichever author."""
    ticket = sign_invitation(get_secrets(0), "ed25519", invitation)
    signed = encode(prove_bearer(BEARER_SEED, invitation.network, GUEST.author, ticket))
    carried = encode(ProvenInvitation(signed, find_keys()[INVITER].ed25519_key, b""))
    return make_profile(author, body=encode(GUEST.profile(carried)), seq=seq, lamport=9)


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


def test_newcomer_is_welcomed_by_its_profile_said_again_when_the_first_came_too_late():
    scene = MarketScene(money=1_000)
    profile = repeat_profile()
    events = scene.apply([profile])
    assert [(each.kind, each.account, each.subject, each.amount) for each in events] == [
        ("sent", INVITER, profile.id, 400),
        ("received", GUEST.author, profile.id, 400),
    ]
    assert scene.apply([repeat_profile(seq=2)]) == []
    assert (get_free(scene, INVITER), get_free(scene, GUEST.author)) == (600, 400)


@pytest.mark.parametrize(
    "repetition", [repeat_profile(author=ANOTHER), make_profile(ANOTHER, seq=1)]
)
def test_profile_said_again_moves_nothing_when_it_proves_no_invitation(repetition: SignedVertex):
    scene = MarketScene(money=1_000)
    assert scene.apply([repetition]) == []
    assert get_free(scene, INVITER) == 1_000


def test_guest_is_welcomed_still_when_it_says_something_else_of_itself_before():
    scene = MarketScene(money=1_000)
    scene.apply([make_profile(GUEST.author, TICKET, seq=1), repeat_profile(seq=2)])
    assert get_free(scene, GUEST.author) == 400


@pytest.mark.parametrize(
    "first",
    [
        make_profile(GUEST.author, None),
        make_profile(GUEST.author, msgspec.structs.replace(INVITATION, grant_uruv=0)),
        make_profile(GUEST.author, msgspec.structs.replace(INVITATION, grant_uruv=2_000)),
        repeat_profile(msgspec.structs.replace(TICKET, grant_uruv=0)),
        repeat_profile(msgspec.structs.replace(TICKET, expires_ms=1)),
    ],
)
def test_who_came_without_money_is_given_none_by_a_later_profile_also_after_a_snapshot(
    first: SignedVertex,
):
    scene = MarketScene(money=1_000)
    scene.apply([first])
    scene.state.restore(scene.state.snapshot())
    assert scene.apply([repeat_profile(seq=2)]) == []
    assert (get_free(scene, INVITER), get_free(scene, GUEST.author)) == (1_000, 0)


def test_founder_is_given_nothing_by_a_later_profile():
    scene = MarketScene()
    genesis = MarketGenesis(NETWORK, "ed25519", (Grant(INVITER, 1_000),), (GUEST.author,))
    scene.state = MarketState(genesis, Keys())
    assert scene.apply([repeat_profile()]) == []


def test_uses_are_counted_over_first_and_later_profiles():
    scene = MarketScene(money=1_000)
    scene.apply([make_profile(NEWCOMER, TICKET)])
    events = scene.apply([repeat_profile()])
    assert [each.detail for each in events] == ["invitation_used_up"] * 2
