"""Peer ids of Ed25519 host keys, computed without loading the networking library.

A libp2p peer id is the base58 form of a multihash. An Ed25519 public key is short enough to be
held whole (identity multihash), so key and peer id determine each other.
"""

from __future__ import annotations

import base58

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId

PUBLIC_KEY_BYTES = 32

_PREFIX = bytes(
    (
        0x00,  # multihash: identity
        0x24,  # multihash: 36 bytes follow
        0x08,  # protobuf field 1 (key type), varint
        0x01,  # Ed25519
        0x12,  # protobuf field 2 (key data), bytes
        0x20,  # 32 bytes follow
    )
)


def peer_id_from_public_key(public_key: bytes) -> PeerId:
    """The peer id of an Ed25519 public key (32 bytes)."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise AssertionError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    encoded: bytes = base58.b58encode(_PREFIX + public_key)
    return PeerId(encoded.decode("ascii"))


def public_key_from_peer_id(peer_id: str) -> bytes:
    """The Ed25519 public key a peer id holds; raises `TransportError` for any other text."""
    try:
        raw: bytes = base58.b58decode(peer_id)
    except ValueError:
        raw = b""
    if len(raw) != len(_PREFIX) + PUBLIC_KEY_BYTES or not raw.startswith(_PREFIX):
        raise TransportError(
            f"{peer_id[:64]!r} is not the peer id of an Ed25519 key",
            hint="peer ids start with 12D3KooW and are printed by the peer itself",
        )
    return raw[len(_PREFIX) :]
