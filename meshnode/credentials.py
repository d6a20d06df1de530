"""Checks what a joiner is handed: genesis, chain of members, invitation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from dag.bodies import (
    INVITATION_DECODER,
    PROFILE_DECODER,
    SIGNED_INVITATION_DECODER,
    Profile,
    SignedInvitation,
)
from dag.canonical import encode
from dag.errors import InvalidSignature, InvalidVertex, WrongNetwork
from dag.genesis import Genesis, compute_network_id
from dag.identity import (
    compute_author_id,
    get_profile_keys,
    prove_bearer,
    validate_profile,
    verify_bearer,
    verify_invitation,
    verify_vertex,
)
from dag.types import LANE_SPEECH, Kind
from dag.vertex import decode_signed

if TYPE_CHECKING:
    from dag.keys import PublicKeys


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a joiner knows afterwards, all of it checked."""

    genesis: Genesis
    inviter: bytes
    invitation: bytes
    """Canonical `SignedInvitation` with the joiner's bearer proof."""
    credentials: tuple[bytes, ...]


def verify_admission(
    genesis: Genesis,
    signed: SignedInvitation,
    credentials: tuple[bytes, ...],
    *,
    network: bytes,
    bearer_seed: bytes,
    author: bytes,
) -> Admitted:
    """Check everything against the ticket's network and bearer. Raises `InvalidMessage`."""
    if compute_network_id(genesis) != network:
        raise WrongNetwork("the genesis is another network's")
    members = _collect_members(genesis, credentials, network)
    inviter = INVITATION_DECODER.decode(signed.invitation).inviter
    keys = members.get(inviter)
    if keys is None:
        raise InvalidSignature("the invitation is by nobody who is shown to be a member")
    invitation = verify_invitation(keys, genesis.suite, network, signed)
    if invitation.bearer_key != SigningKey(bearer_seed).verify_key.encode():
        raise InvalidSignature("the invitation is another ticket's")
    proved = prove_bearer(bearer_seed, network, author, signed)
    return Admitted(genesis, inviter, encode(proved), credentials)


def check_open(genesis: Genesis, network: bytes) -> Admitted:
    """What who comes without an invitation is to know. Raises `InvalidMessage`."""
    if compute_network_id(genesis) != network:
        raise WrongNetwork("the genesis is another network's")
    if not genesis.parameters.open:
        raise WrongNetwork("the network is not open, and the ticket holds no invitation")
    return Admitted(genesis, b"", b"", ())


def _collect_members(
    genesis: Genesis, credentials: tuple[bytes, ...], network: bytes
) -> dict[bytes, PublicKeys]:
    members: dict[bytes, PublicKeys] = {}
    for founder in genesis.founders:
        keys = get_profile_keys(founder)
        members[compute_author_id(keys.ed25519_key, keys.mldsa65_key)] = keys
    for wire in credentials:
        member, profile = _read_credential(wire, genesis, network)
        if member not in members and not genesis.parameters.open:
            _check_invited(profile, member, members, genesis, network)
        members[member] = get_profile_keys(profile)
    return members


def _read_credential(wire: bytes, genesis: Genesis, network: bytes) -> tuple[bytes, Profile]:
    signed = decode_signed(wire)
    vertex = signed.vertex
    if vertex.network != network:
        raise WrongNetwork("a credential is another network's")
    if (vertex.lane, vertex.seq, vertex.kind) != (LANE_SPEECH, 0, Kind.PROFILE):
        raise InvalidVertex("credential", "a credential is an author's first vertex, its profile")
    profile = PROFILE_DECODER.decode(vertex.body)
    validate_profile(profile, genesis.suite, vertex.author)
    verify_vertex(get_profile_keys(profile), genesis.suite, signed)
    return vertex.author, profile


def _check_invited(
    profile: Profile,
    member: bytes,
    members: dict[bytes, PublicKeys],
    genesis: Genesis,
    network: bytes,
) -> None:
    signed = SIGNED_INVITATION_DECODER.decode(profile.invitation)
    inviter = members.get(INVITATION_DECODER.decode(signed.invitation).inviter)
    if inviter is None:
        raise InvalidSignature("a credential's inviter is not shown to be a member")
    invitation = verify_invitation(inviter, genesis.suite, network, signed)
    verify_bearer(invitation, member, signed.bearer_proof)
