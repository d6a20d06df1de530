"""Authors: their ids and profiles, signed vertices, and invitations.

An author is the digest of its signing keys, so keys can be fetched from anybody and checked against
the id. Everything here is a pure function of seeds; whoever owns an author supplies randomness.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from nacl import bindings as sodium

from dag.bodies import (
    BEARER_DOMAIN,
    INVITATION_DECODER,
    INVITATION_DOMAIN,
    SIGNED_INVITATION_DECODER,
    Invitation,
    Profile,
    SignedInvitation,
)
from dag.canonical import compute_digest, encode
from dag.crypto import (
    compute_detached_message,
    get_secret_provider,
    sign_ed25519,
    sign_suite,
    verify_ed25519,
    verify_suite,
)
from dag.errors import InvalidSignature, InvalidVertex, MalformedMessage, UnusableKey, WrongNetwork
from dag.kem import derive_kem_key
from dag.keys import (
    ED25519_KEY_BYTES,
    MLDSA65_KEY_BYTES,
    MLKEM768_KEY_BYTES,
    X25519_KEY_BYTES,
    PublicKeys,
    SecretKeys,
    derive_secret_keys,
)
from dag.types import COUNTER_MAX, AuthorId
from dag.vertex import (
    Envelope,
    SignedVertex,
    Vertex,
    compute_signed_message,
    compute_vertex_id,
    encode_vertex,
)

if TYPE_CHECKING:
    from dag.genesis import Suite

__all__ = [
    "PublicKeys",
    "SecretKeys",
    "VerifiedVertex",
    "compute_author_id",
    "derive_public_keys",
    "derive_secret_keys",
    "get_profile_keys",
    "make_profile",
    "prove_bearer",
    "sign_invitation",
    "sign_vertex",
    "trust_stored",
    "validate_profile",
    "verify_admission",
    "verify_bearer",
    "verify_invitation",
    "verify_vertex",
]

AUTHOR_DOMAIN: Final = b"meshnode/author/1"
NAME_CHARACTERS_MAX: Final = 64
ADDRESSES_MAX: Final = 16
ADDRESS_CHARACTERS_MAX: Final = 256
ROLES: Final = ("peer", "validator")


class VerifiedVertex(SignedVertex, frozen=True, gc=False):
    """A signed vertex whose signatures have been checked.

    Made by `verify_vertex` and `sign_vertex`, or by `trust_stored` for bytes that were verified
    before they were written.
    """


def compute_author_id(ed25519_key: bytes, mldsa65_key: bytes) -> AuthorId:
    """Name an author by its signing keys."""
    return AuthorId(compute_digest(AUTHOR_DOMAIN, ed25519_key + mldsa65_key))


def derive_public_keys(secrets: SecretKeys, suite: Suite) -> PublicKeys:
    """The public side of an author's secrets. Raises `UnusableKey`."""
    hybrid = suite == "hybrid"
    secret = secrets.mldsa65_secret
    return PublicKeys(
        ed25519_key=_derive_ed25519_key(secrets.ed25519_seed),
        mldsa65_key=get_secret_provider(secret).derive_public_key(secret) if hybrid else b"",
        x25519_key=sodium.crypto_scalarmult_base(secrets.x25519_seed),
        # Empty where this build has no ML-KEM: the author then receives no sealed content.
        mlkem768_key=derive_kem_key(secrets.mlkem768_seed) if hybrid else b"",
        libp2p_key=_derive_ed25519_key(secrets.libp2p_seed),
    )


def _derive_ed25519_key(seed: bytes) -> bytes:
    public_key, _ = sodium.crypto_sign_seed_keypair(seed)
    return public_key


def format_fingerprint(author: bytes) -> str:
    """An author id for people: its first 8 hex digits in two groups."""
    digits = author.hex()
    return f"{digits[:4]}-{digits[4:8]}"


def make_profile(
    keys: PublicKeys, *, name: str, addresses: tuple[str, ...] = (), invitation: bytes = b""
) -> Profile:
    """The body of an author's first vertex, or of a later update."""
    return Profile(
        ed25519_key=keys.ed25519_key,
        mldsa65_key=keys.mldsa65_key,
        x25519_key=keys.x25519_key,
        mlkem768_key=keys.mlkem768_key,
        libp2p_key=keys.libp2p_key,
        name=name,
        addresses=addresses,
        invitation=invitation,
    )


def get_profile_keys(profile: Profile) -> PublicKeys:
    """The keys a profile carries."""
    return PublicKeys(
        profile.ed25519_key,
        profile.mldsa65_key,
        profile.x25519_key,
        profile.mlkem768_key,
        profile.libp2p_key,
    )


def validate_profile(profile: Profile, suite: Suite, author: bytes) -> None:
    """Check sizes, and that the keys are this author's. Raises `InvalidVertex`."""
    mldsa65_bytes = MLDSA65_KEY_BYTES if suite == "hybrid" else 0
    if (
        len(profile.ed25519_key) != ED25519_KEY_BYTES
        or len(profile.mldsa65_key) != mldsa65_bytes
        or len(profile.x25519_key) != X25519_KEY_BYTES
        or len(profile.mlkem768_key) not in (0, MLKEM768_KEY_BYTES)
        or len(profile.libp2p_key) != ED25519_KEY_BYTES
    ):
        raise InvalidVertex("profile-keys", f"a key's size does not suit the suite {suite}")
    if not hmac.compare_digest(compute_author_id(profile.ed25519_key, profile.mldsa65_key), author):
        raise InvalidVertex("profile-author", "the author is not the digest of these keys")
    if len(profile.name) > NAME_CHARACTERS_MAX:
        raise InvalidVertex("profile-name", f"more than {NAME_CHARACTERS_MAX} characters")
    if len(profile.addresses) > ADDRESSES_MAX or any(
        len(address) > ADDRESS_CHARACTERS_MAX for address in profile.addresses
    ):
        raise InvalidVertex(
            "profile-addresses",
            f"at most {ADDRESSES_MAX} addresses of {ADDRESS_CHARACTERS_MAX} characters",
        )


def sign_vertex(secrets: SecretKeys, suite: Suite, vertex: Vertex) -> VerifiedVertex:
    """Sign a vertex. Raises `InvalidVertex` for what no peer would accept, and `UnusableKey`."""
    unsigned = encode_vertex(vertex)
    vertex_id = compute_vertex_id(vertex)
    signature = sign_suite(suite, secrets, compute_signed_message(vertex_id))
    wire = encode(Envelope(unsigned, signature))
    return VerifiedVertex(vertex_id, vertex, wire, signature)


def verify_vertex(keys: PublicKeys, suite: Suite, signed: SignedVertex) -> VerifiedVertex:
    """Check a vertex's signatures under its author's keys. Raises `InvalidSignature`."""
    if not verify_suite(suite, keys, compute_signed_message(signed.id), signed.signature):
        author = format_fingerprint(signed.vertex.author)
        raise InvalidSignature(f"vertex {signed.id.hex()[:16]} is not signed by {author}")
    return trust_stored(signed)


def trust_stored(signed: SignedVertex) -> VerifiedVertex:
    """Vouch for a vertex read back from the own store, verified before it was written there."""
    return VerifiedVertex(signed.id, signed.vertex, signed.wire, signed.signature)


def sign_invitation(secrets: SecretKeys, suite: Suite, invitation: Invitation) -> SignedInvitation:
    """Sign an invitation as its inviter: what a ticket carries beside the bearer's secret."""
    _validate_invitation(invitation)
    data = encode(invitation)
    message = compute_detached_message(INVITATION_DOMAIN, invitation.network, data)
    return SignedInvitation(data, sign_suite(suite, secrets, message), b"")


def verify_invitation(
    keys: PublicKeys, suite: Suite, network: bytes, signed: SignedInvitation
) -> Invitation:
    """Check the inviter's signature under its keys, for this network.

    Raises `MalformedMessage`, `MessageTooLarge`, `WrongNetwork` or `InvalidSignature`.
    """
    invitation = INVITATION_DECODER.decode(signed.invitation)
    _validate_invitation(invitation)
    if invitation.network != network:
        raise WrongNetwork("the invitation is to another network")
    if compute_author_id(keys.ed25519_key, keys.mldsa65_key) != invitation.inviter:
        raise InvalidSignature("the keys are not the inviter's")
    message = compute_detached_message(INVITATION_DOMAIN, network, signed.invitation)
    if not verify_suite(suite, keys, message, signed.signature):
        raise InvalidSignature("the invitation is not signed by its inviter")
    return invitation


def prove_bearer(
    bearer_seed: bytes, network: bytes, author: bytes, signed: SignedInvitation
) -> SignedInvitation:
    """Add the proof that `author` held the ticket's secret. Raises `UnusableKey`."""
    invitation = INVITATION_DECODER.decode(signed.invitation)
    if _derive_ed25519_key(bearer_seed) != invitation.bearer_key:
        raise UnusableKey("the bearer secret is not this invitation's", hint="ask for a new ticket")
    proof = sign_ed25519(bearer_seed, compute_detached_message(BEARER_DOMAIN, network, author))
    return SignedInvitation(signed.invitation, signed.signature, proof)


def verify_bearer(invitation: Invitation, author: bytes, proof: bytes) -> None:
    """Check that `author` held the ticket. Raises `InvalidSignature`."""
    message = compute_detached_message(BEARER_DOMAIN, invitation.network, author)
    if not verify_ed25519(invitation.bearer_key, message, proof):
        raise InvalidSignature("the joiner does not prove that it held the ticket")


def verify_admission(
    keys: PublicKeys, suite: Suite, network: bytes, author: bytes, encoded: bytes
) -> Invitation:
    """Check an encoded `SignedInvitation` under its inviter's keys, for this network and author.

    Raises `MalformedMessage`, `MessageTooLarge`, `WrongNetwork` or `InvalidSignature`.
    """
    signed = SIGNED_INVITATION_DECODER.decode(encoded)
    invitation = verify_invitation(keys, suite, network, signed)
    verify_bearer(invitation, author, signed.bearer_proof)
    return invitation


def _validate_invitation(invitation: Invitation) -> None:
    if invitation.role not in ROLES:
        raise MalformedMessage(f"an invitation's role is one of {', '.join(ROLES)}")
    if not 1 <= invitation.uses <= COUNTER_MAX:
        raise MalformedMessage("an invitation has at least one use")
    if not 0 <= invitation.expires_ms <= COUNTER_MAX:
        raise MalformedMessage("an invitation's expiry is a time in ms, or 0")
    if not 0 <= invitation.grant_uruv <= COUNTER_MAX:
        raise MalformedMessage("an invitation's grant is not negative")
