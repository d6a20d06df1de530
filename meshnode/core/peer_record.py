"""Signed records of where a peer can be dialled, which others may hand on.

A record is signed by the peer's transport key, which is its transport id: whoever passes it on can
withhold it, but not change it. Of two records of one peer the one with the higher sequence holds,
so that an old one cannot lead anybody back to where the peer no longer is, and every record expires.

    body    canonical [version, network (32 B), transport key (32 B), sequence, expires_ms, roles,
            addresses]
    signed  canonical [body, signature]   Ed25519 over `meshnode/peer-record/1` || 0 || network || body
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from dag.canonical import CanonicalDecoder, encode
from dag.crypto import compute_detached_message, sign_ed25519, verify_ed25519
from dag.errors import InvalidSignature, MalformedMessage, WrongNetwork
from meshnode.core.messages import ADDRESSES_MAX

RECORD_VERSION: Final = 1
RECORD_DOMAIN: Final = b"meshnode/peer-record/1"
RECORD_BYTES_MAX: Final = 4_096
ADDRESS_CHARS_MAX: Final = 256
LIFETIME_MS: Final = 3_600_000
"""What a peer signs for; it says so again long before."""
LIFETIME_MAX_MS: Final = 2 * LIFETIME_MS
"""The furthest expiry that is believed: nobody's address is good for ever."""
ROLE_RENDEZVOUS: Final = 1
"""It keeps the records of members and hands them out."""
ROLE_RELAY: Final = 2
"""It carries connections of members to members that cannot be reached."""

_Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Address = Annotated[str, msgspec.Meta(min_length=1, max_length=ADDRESS_CHARS_MAX)]


class PeerRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a peer says of itself."""

    version: int
    network: _Bytes32
    key: _Bytes32
    """Ed25519 key of its transport, which signs."""
    sequence: _Number
    """Grows with every record of this peer: the time at which it was made."""
    expires_ms: _Number
    roles: Annotated[int, msgspec.Meta(ge=0, le=255)]
    """`ROLE_` flags; unknown ones are passed over."""
    addresses: Annotated[tuple[_Address, ...], msgspec.Meta(max_length=ADDRESSES_MAX)]


class SignedRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A record as it travels."""

    body: Annotated[bytes, msgspec.Meta(max_length=RECORD_BYTES_MAX)]
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


_body_decoder: Final = CanonicalDecoder(PeerRecord, what="peer record", bytes_max=RECORD_BYTES_MAX)
_signed_decoder: Final = CanonicalDecoder(
    SignedRecord, what="signed peer record", bytes_max=RECORD_BYTES_MAX + 128
)


def sign_record(
    seed: bytes,
    key: bytes,
    *,
    network: bytes,
    now_ms: int,
    roles: int,
    addresses: Sequence[str],
) -> bytes:
    """The wire bytes of a record of one's own, good for `LIFETIME_MS`."""
    fitting = tuple(text for text in addresses if 0 < len(text) <= ADDRESS_CHARS_MAX)
    body = encode(
        PeerRecord(
            RECORD_VERSION,
            network,
            key,
            now_ms,
            now_ms + LIFETIME_MS,
            roles,
            fitting[:ADDRESSES_MAX],
        )
    )
    signature = sign_ed25519(seed, compute_detached_message(RECORD_DOMAIN, network, body))
    return encode(SignedRecord(body, signature))


def read_record(wire: bytes, *, network: bytes) -> PeerRecord:
    """A record whose form and signature hold.

    Raises `MalformedMessage`, `MessageTooLarge`, `WrongNetwork` or `InvalidSignature`.
    """
    signed = _signed_decoder.decode(wire)
    record = _body_decoder.decode(signed.body)
    if record.version != RECORD_VERSION:
        raise MalformedMessage(f"peer record version {record.version} is not {RECORD_VERSION}")
    if record.network != network:
        raise WrongNetwork("the peer record belongs to another network")
    message = compute_detached_message(RECORD_DOMAIN, network, signed.body)
    if not verify_ed25519(record.key, message, signed.signature):
        raise InvalidSignature("the peer record is not signed by the peer it names")
    return record
