"""A profile that is said again, with all that proves who invited its author.

A first profile is admitted where its inviter is known, and the order may never put it out: then not
every node that follows the order knows the inviter. So a profile that repeats it for the order
carries the inviter's keys, and what it proves is the same everywhere, whoever is known there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dag.authors import read_inviter
from dag.bodies import (
    PROFILE_DECODER,
    PROVEN_INVITATION_DECODER,
    Invitation,
    ProvenInvitation,
)
from dag.canonical import encode
from dag.errors import InvalidMessage
from dag.identity import verify_admission
from dag.keys import PublicKeys

if TYPE_CHECKING:
    from dag.authors import AuthorDirectory
    from dag.genesis import Suite


def prove_invitation(directory: AuthorDirectory, body: bytes) -> bytes:
    """A first profile's body, changed to prove its invitation; as it is where there is none."""
    try:
        profile = PROFILE_DECODER.decode(body)
        keys = directory.get_keys(read_inviter(profile.invitation))
    except InvalidMessage:
        return body
    if keys is None:
        return body  # a founder's, which nobody has checked
    proven = ProvenInvitation(profile.invitation, keys.ed25519_key, keys.mldsa65_key)
    return encode(msgspec.structs.replace(profile, invitation=encode(proven)))


def strip_proof(body: bytes) -> bytes:
    """What `prove_invitation` was given; any other body as it is."""
    try:
        profile = PROFILE_DECODER.decode(body)
        proven = PROVEN_INVITATION_DECODER.decode(profile.invitation)
    except InvalidMessage:
        return body
    return encode(msgspec.structs.replace(profile, invitation=proven.invitation))


def read_proven(suite: Suite, network: bytes, author: bytes, body: bytes) -> Invitation:
    """The invitation that a profile of `author` proves to hold.

    Raises `InvalidMessage` where it proves none.
    """
    proven = PROVEN_INVITATION_DECODER.decode(PROFILE_DECODER.decode(body).invitation)
    keys = PublicKeys(proven.ed25519_key, proven.mldsa65_key, b"", b"", b"")
    return verify_admission(keys, suite, network, author, proven.invitation)
