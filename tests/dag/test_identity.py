"""Authors, profiles, signed vertices, invitations."""

from __future__ import annotations

import sys

import msgspec
import pytest

from dag import kem
from dag.bodies import Invitation, SignedInvitation
from dag.canonical import encode
from dag.errors import (
    InvalidSignature,
    InvalidVertex,
    MalformedMessage,
    UnusableKey,
    WrongNetwork,
)
from dag.identity import (
    compute_author_id,
    derive_public_keys,
    format_fingerprint,
    get_profile_keys,
    prove_bearer,
    sign_invitation,
    sign_vertex,
    trust_stored,
    validate_profile,
    verify_bearer,
    verify_invitation,
    verify_vertex,
)
from dag.vertex import decode_signed
from tests.support.dag_builder import DagBuilder, make_person

NETWORK = b"n" * 32
BEARER = b"b" * 32
INVITER = make_person(0)
JOINER = make_person(1)
INVITATION = Invitation(
    network=NETWORK,
    inviter=INVITER.author,
    bearer_key=derive_public_keys(
        msgspec.structs.replace(JOINER.secrets, ed25519_seed=BEARER), "ed25519"
    ).ed25519_key,
    role="peer",
    uses=1,
    expires_ms=0,
    grant_uruv=0,
)


def change(record, **fields):
    return msgspec.structs.replace(record, **fields)


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_profile_carries_its_authors_keys(suite):
    person = make_person(3, suite)
    profile = person.profile()
    validate_profile(profile, suite, person.author)
    assert get_profile_keys(profile) == person.keys
    assert compute_author_id(profile.ed25519_key, profile.mldsa65_key) == person.author
    assert (len(person.keys.mldsa65_key) == 1_952) == (suite == "hybrid")


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("profile-keys", {"ed25519_key": b"1"}),
        ("profile-keys", {"mldsa65_key": b"1"}),
        ("profile-keys", {"x25519_key": b"1"}),
        ("profile-keys", {"mlkem768_key": b"1"}),
        ("profile-keys", {"libp2p_key": b"1"}),
        ("profile-author", {"ed25519_key": bytes(32)}),
        ("profile-name", {"name": "n" * 65}),
        ("profile-addresses", {"addresses": ("a",) * 17}),
        ("profile-addresses", {"addresses": ("a" * 257,)}),
    ],
)
def test_profile_is_refused_with_the_rule_it_breaks(rule, fields):
    with pytest.raises(InvalidVertex) as caught:
        validate_profile(change(JOINER.profile(), **fields), "ed25519", JOINER.author)
    assert caught.value.rule == rule


def test_profile_of_one_suite_is_refused_in_another():
    with pytest.raises(InvalidVertex):
        validate_profile(JOINER.profile(), "hybrid", JOINER.author)


def test_mlkem_key_is_empty_where_no_library_makes_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mlkem", None)
    kem.get_kem.cache_clear()
    try:
        assert derive_public_keys(JOINER.secrets, "hybrid").mlkem768_key == b""
    finally:
        kem.get_kem.cache_clear()


def test_fingerprint_is_short():
    assert format_fingerprint(bytes.fromhex("a1b2c3d4e5") + bytes(27)) == "a1b2-c3d4"


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_vertex_verifies_under_its_authors_keys_only(suite):
    builder = DagBuilder(2, suite=suite).profiles().layer()
    signed = decode_signed(builder.vertices[-1].wire)
    assert verify_vertex(builder.people[1].keys, suite, signed).id == signed.id
    with pytest.raises(InvalidSignature, match="is not signed by"):
        verify_vertex(builder.people[0].keys, suite, signed)
    assert trust_stored(signed).wire == signed.wire


def test_signing_refuses_what_no_peer_would_accept():
    builder = DagBuilder(1).profiles()
    vertex = change(builder.vertices[0].vertex, lamport=7)
    with pytest.raises(InvalidVertex):
        sign_vertex(INVITER.secrets, "ed25519", vertex)


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_invitation_verifies_and_bearer_proves(suite):
    inviter = make_person(0, suite)
    invitation = change(INVITATION, inviter=inviter.author)
    ticket = sign_invitation(inviter.secrets, suite, invitation)
    assert ticket.bearer_proof == b""
    proved = prove_bearer(BEARER, NETWORK, JOINER.author, ticket)
    assert verify_invitation(inviter.keys, suite, NETWORK, proved) == invitation
    verify_bearer(invitation, JOINER.author, proved.bearer_proof)
    with pytest.raises(InvalidSignature):
        verify_bearer(invitation, inviter.author, proved.bearer_proof)
    with pytest.raises(InvalidSignature):
        verify_bearer(invitation, JOINER.author, ticket.bearer_proof)
    assert len(encode(proved)) < 8_192


def test_invitation_is_refused_under_other_keys_network_or_signature():
    ticket = sign_invitation(INVITER.secrets, "ed25519", INVITATION)
    with pytest.raises(InvalidSignature, match="inviter's"):
        verify_invitation(JOINER.keys, "ed25519", NETWORK, ticket)
    with pytest.raises(WrongNetwork):
        verify_invitation(INVITER.keys, "ed25519", bytes(32), ticket)
    forged = change(ticket, signature=bytes(64))
    with pytest.raises(InvalidSignature, match="not signed"):
        verify_invitation(INVITER.keys, "ed25519", NETWORK, forged)


def test_bearer_secret_of_another_ticket_is_refused():
    ticket = sign_invitation(INVITER.secrets, "ed25519", INVITATION)
    with pytest.raises(UnusableKey, match="new ticket"):
        prove_bearer(b"x" * 32, NETWORK, JOINER.author, ticket)


@pytest.mark.parametrize(
    "fields",
    [{"role": "king"}, {"uses": 0}, {"expires_ms": -1}, {"grant_uruv": -1}],
)
def test_unsound_invitation_is_neither_signed_nor_accepted(fields):
    invitation = change(INVITATION, **fields)
    with pytest.raises(MalformedMessage):
        sign_invitation(INVITER.secrets, "ed25519", invitation)
    signed = SignedInvitation(encode(invitation), bytes(64), b"")
    with pytest.raises(MalformedMessage):
        verify_invitation(INVITER.keys, "ed25519", NETWORK, signed)
