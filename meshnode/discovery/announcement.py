"""What a node says of itself on a LAN, so that members alone can read who it is.

An announcement holds the transport key in a box that the network's id opens, under a fresh nonce:
the same node looks like another after every start, and a stranger learns that some node is here and
at which port, not whose it is nor which network it belongs to. Who knows the id (members, and
whoever holds a ticket) recognises it. It proves nothing: the connection does.

    text record   v = 1, m = nonce (24 B) || XSalsa20-Poly1305 of the transport key (48 B)
    key           SHA-256 of `meshnode/mdns/1` || 0 || network id
"""

from __future__ import annotations

from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from dag.canonical import compute_digest

ANNOUNCEMENT_DOMAIN: Final = b"meshnode/mdns/1"
VERSION: Final = b"1"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 24
SEALED_BYTES: Final = NONCE_BYTES + 16 + KEY_BYTES


def seal_announcement(network: bytes, transport_key: bytes, nonce: bytes) -> bytes:
    """The value `m` of an announcement; `nonce` is fresh at every start."""
    return bytes(_make_box(network).encrypt(transport_key, nonce))


def open_announcement(network: bytes, sealed: bytes) -> bytes | None:
    """The transport key in an announcement; None where it is not for members of this network."""
    if len(sealed) != SEALED_BYTES:
        return None
    try:
        return _make_box(network).decrypt(sealed)
    except CryptoError:
        return None


def _make_box(network: bytes) -> SecretBox:
    return SecretBox(compute_digest(ANNOUNCEMENT_DOMAIN, network))
