"""Who can read what a node announces on its LAN."""

from __future__ import annotations

import os

from nacl.signing import SigningKey

from meshnode.discovery.announcement import (
    NONCE_BYTES,
    SEALED_BYTES,
    open_announcement,
    seal_announcement,
)

NETWORK, OTHER = bytes(32), bytes([1]) * 32
KEY = SigningKey(bytes(32)).verify_key.encode()


def test_members_of_the_network_read_who_it_is_and_nobody_else():
    sealed = seal_announcement(NETWORK, KEY, os.urandom(NONCE_BYTES))
    assert len(sealed) == SEALED_BYTES
    assert open_announcement(NETWORK, sealed) == KEY
    assert open_announcement(OTHER, sealed) is None


def test_neither_key_nor_network_can_be_seen_and_two_starts_look_unlike():
    one, two = (seal_announcement(NETWORK, KEY, os.urandom(NONCE_BYTES)) for _ in range(2))
    for sealed in (one, two):
        assert KEY not in sealed
        assert NETWORK[:8] not in sealed
    common = sum(a == b for a, b in zip(one, two, strict=True))
    assert common < 16  # of 72 bytes, about one in 256 is equal by chance


def test_changed_cut_and_empty_announcements_are_nobodys():
    sealed = seal_announcement(NETWORK, KEY, bytes(NONCE_BYTES))
    assert open_announcement(NETWORK, sealed[:-1] + bytes([sealed[-1] ^ 1])) is None
    assert open_announcement(NETWORK, sealed[:-1]) is None
    assert open_announcement(NETWORK, b"") is None
