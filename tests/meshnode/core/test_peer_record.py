"""Records of addresses: what they say, who may say it."""

from __future__ import annotations

import hashlib

import pytest
from nacl.signing import SigningKey

from dag.canonical import encode
from dag.errors import InvalidSignature, MalformedMessage, MessageTooLarge, WrongNetwork
from meshnode.core.peer_record import (
    LIFETIME_MS,
    RECORD_VERSION,
    ROLE_RELAY,
    PeerRecord,
    SignedRecord,
    read_record,
    sign_record,
)

NETWORK = bytes(32)
SEED = hashlib.sha256(b"peer").digest()
KEY = SigningKey(SEED).verify_key.encode()


def make(addresses=("/a", "/b")):
    return sign_record(SEED, KEY, network=NETWORK, now_ms=5, roles=ROLE_RELAY, addresses=addresses)


def test_record_says_who_where_and_until_when():
    record = read_record(make(), network=NETWORK)
    assert record.key == KEY
    assert record.addresses == ("/a", "/b")
    assert record.roles == ROLE_RELAY
    assert (record.sequence, record.expires_ms) == (5, 5 + LIFETIME_MS)


def test_addresses_that_nobody_could_carry_are_left_out():
    long = "/" + "x" * 256
    record = read_record(make(addresses=(long, "", *(f"/{n}" for n in range(9)))), network=NETWORK)
    assert record.addresses == tuple(f"/{n}" for n in range(8))


def test_record_of_another_network_is_refused():
    with pytest.raises(WrongNetwork):
        read_record(make(), network=bytes([1]) * 32)


def test_changed_record_is_refused():
    wire = make()
    record = read_record(wire, network=NETWORK)
    moved = PeerRecord(
        RECORD_VERSION, NETWORK, KEY, record.sequence, record.expires_ms, 0, ("/elsewhere",)
    )
    forged = encode(SignedRecord(encode(moved), bytes(64)))
    with pytest.raises(InvalidSignature):
        read_record(forged, network=NETWORK)


def test_record_signed_by_another_peer_is_refused():
    other = hashlib.sha256(b"other").digest()
    wire = sign_record(other, KEY, network=NETWORK, now_ms=5, roles=0, addresses=("/a",))
    with pytest.raises(InvalidSignature):
        read_record(wire, network=NETWORK)


def test_record_of_another_version_is_refused():
    body = encode(PeerRecord(2, NETWORK, KEY, 1, 2, 0, ()))
    with pytest.raises(MalformedMessage):
        read_record(encode(SignedRecord(body, bytes(64))), network=NETWORK)


@pytest.mark.parametrize("wire", [b"", b"\x90", make() + b"\x00", make()[:-1]])
def test_bytes_that_are_no_record_are_refused(wire):
    with pytest.raises(MalformedMessage):
        read_record(wire, network=NETWORK)


def test_record_longer_than_any_is_not_even_decoded():
    with pytest.raises(MessageTooLarge):
        read_record(bytes(10_000), network=NETWORK)
