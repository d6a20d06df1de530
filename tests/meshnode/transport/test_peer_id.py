"""Peer ids: those libp2p computes, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.peer.id import ID

from meshnode.errors import TransportError
from meshnode.transport.peer_id import peer_id_from_public_key, public_key_from_peer_id


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_is_the_one_libp2p_computes(seed):
    public_key = create_new_key_pair(seed).public_key
    peer = peer_id_from_public_key(public_key.to_bytes())
    assert peer == ID.from_pubkey(public_key).to_base58()
    assert public_key_from_peer_id(peer) == public_key.to_bytes()


def test_peer_id_of_a_known_key():
    key = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
    assert peer_id_from_public_key(key) == "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


@pytest.mark.parametrize("text", ["", "QmNotAKey", "0OIl", "12D3KooW", "é", "x" * 500])
def test_public_key_of_other_text_is_refused(text):
    with pytest.raises(TransportError, match="Ed25519"):
        public_key_from_peer_id(text)


def test_peer_id_of_a_key_of_another_length_is_a_programmer_error():
    with pytest.raises(AssertionError):
        peer_id_from_public_key(bytes(31))
