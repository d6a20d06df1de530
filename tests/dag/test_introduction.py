"""A profile that is said again proves its invitation to whoever knows nobody."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dag.authors import AuthorRegistry
from dag.bodies import PROFILE_DECODER, PROVEN_INVITATION_DECODER
from dag.canonical import encode
from dag.errors import InvalidMessage, InvalidSignature, MalformedMessage, WrongNetwork
from dag.genesis import Suite
from dag.introduction import prove_invitation, read_proven, strip_proof
from tests.support.dag_builder import DagBuilder, make_person


def make(suite: Suite = "ed25519") -> tuple[DagBuilder, bytes, bytes]:
    """A founder, the profile of a newcomer it invites, and that profile with the proof."""
    builder = DagBuilder(1, suite=suite)
    newcomer = builder.join(0, profile=False)
    plain = encode(builder.people[1].profile(builder.invite(0, newcomer, grant_uruv=5)))
    return builder, plain, prove_invitation(AuthorRegistry(builder.genesis), plain)


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
def test_proven_invitation_is_read_without_knowing_anybody(suite: Suite):
    builder, plain, proven = make(suite)
    newcomer = builder.people[1].author
    invitation = read_proven(suite, builder.network, newcomer, proven)
    assert (invitation.inviter, invitation.grant_uruv) == (builder.people[0].author, 5)
    assert strip_proof(proven) == plain


def test_profile_without_an_invitation_that_can_be_proved_stays_as_it_is():
    builder, plain, proven = make()
    strangers = AuthorRegistry(DagBuilder(1, name="other").genesis)
    other = DagBuilder(3)
    unknown = encode(other.people[1].profile(other.invite(2, 1)))
    for body in (encode(builder.people[0].profile()), proven, b"no profile", unknown):
        assert prove_invitation(strangers, body) == body
    assert strip_proof(plain) == plain
    assert strip_proof(b"no profile") == b"no profile"


def test_invitation_of_somebody_else_or_elsewhere_proves_nothing():
    builder, plain, proven = make()
    newcomer = builder.people[1].author
    with pytest.raises(InvalidSignature, match="held the ticket"):
        read_proven("ed25519", builder.network, make_person(2).author, proven)
    with pytest.raises(WrongNetwork):
        read_proven("ed25519", bytes(32), newcomer, proven)
    with pytest.raises(MalformedMessage):
        read_proven("ed25519", builder.network, newcomer, plain)


def test_keys_that_are_not_the_inviters_prove_nothing():
    builder, _, proven = make()
    profile = PROFILE_DECODER.decode(proven)
    carried = PROVEN_INVITATION_DECODER.decode(profile.invitation)
    for keys in (make_person(2).keys.ed25519_key, b""):
        false = encode(replace(carried, ed25519_key=keys))
        body = encode(replace(profile, invitation=false))
        with pytest.raises(InvalidMessage, match="not the inviter's"):
            read_proven("ed25519", builder.network, builder.people[1].author, body)
