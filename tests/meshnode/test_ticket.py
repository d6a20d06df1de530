"""Tickets survive pasting, and damage is one clear line."""

from __future__ import annotations

import contextlib

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.canonical import encode
from meshnode.errors import CommandRejected
from meshnode.ticket import (
    PREFIX,
    Ticket,
    _compute_checksum,
    decode_ticket,
    encode_ticket,
    select_addresses,
)
from meshnode.transport.base import PeerId
from meshnode.transport.peer_id import peer_id_from_public_key

TICKET = Ticket(
    network=bytes(range(32)),
    network_name="lab",
    suite="hybrid",
    peer=peer_id_from_public_key(bytes(32)),
    addresses=("/ip4/192.0.2.7/tcp/41000", "/ip4/127.0.0.1/tcp/41000"),
    bearer_seed=b"s" * 32,
)


def wrap(*payload):
    data = encode(payload)
    return PREFIX + base58.b58encode(data + _compute_checksum(data)).decode()


def test_ticket_reads_back_and_stays_pasteable():
    text = encode_ticket(TICKET)
    assert decode_ticket(text) == TICKET
    assert len(text) < 280
    assert text.isalnum()


def test_ticket_of_another_transport_keeps_its_peer_id():
    ticket = Ticket(
        network=bytes(32),
        network_name="x",
        suite="ed25519",
        peer=PeerId("alice"),
        addresses=("memory:alice",),
        bearer_seed=bytes(32),
    )
    assert decode_ticket(encode_ticket(ticket)) == ticket


def test_line_breaks_and_spaces_are_ignored():
    text = encode_ticket(TICKET)
    assert decode_ticket(f"  {text[:40]}\n   {text[40:]}\r\n") == TICKET


@given(st.integers(min_value=0, max_value=400), st.sampled_from("123abcXYZ0OIl+/"))
def test_any_wrong_character_is_found(position, character):
    text = encode_ticket(TICKET)
    position = len(PREFIX) + position % (len(text) - len(PREFIX))
    if text[position] != character:
        with pytest.raises(CommandRejected, match="damaged"):
            decode_ticket(text[:position] + character + text[position + 1 :])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a ticket"),
        ("hello", "not a ticket"),
        (PREFIX, "damaged"),
        (PREFIX + "1" * 3_000, "too long"),
        (encode_ticket(TICKET)[:-1], "damaged"),
        (wrap(2, bytes(32), "n", "hybrid", bytes(32), "", ("a",), bytes(32)), "another version"),
        (wrap(1, bytes(31), "n", "hybrid", bytes(32), "", ("a",), bytes(32)), "another version"),
        (wrap(1, bytes(32), "n", "hybrid", bytes(31), "", ("a",), bytes(32)), "another version"),
        (wrap(1, bytes(32), "n", "hybrid", bytes(32), "", (), bytes(32)), "another version"),
    ],
)
def test_what_is_no_ticket_is_one_clear_line(text, words):
    with pytest.raises(CommandRejected, match=words) as caught:
        decode_ticket(text)
    assert "\n" not in str(caught.value)
    assert len(text) < 20 or text not in str(caught.value)


@given(st.binary(max_size=300))
def test_any_payload_is_a_ticket_or_refused(data):
    text = PREFIX + base58.b58encode(data + _compute_checksum(data)).decode()
    with contextlib.suppress(CommandRejected):
        decode_ticket(text)


def test_bearer_seed_is_not_shown():
    assert "ssss" not in repr(TICKET)


def test_addresses_are_few_and_the_own_machine_comes_last():
    given_addresses = [
        "/ip4/127.0.0.1/tcp/1/p2p/X",
        "/ip4/127.0.0.2/tcp/1",
        *[f"/ip4/192.0.2.{n}/tcp/1/p2p/X" for n in (1, 1, 2, 3, 4)],
    ]
    assert select_addresses(given_addresses) == (
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/192.0.2.2/tcp/1",
        "/ip4/192.0.2.3/tcp/1",
        "/ip4/127.0.0.1/tcp/1",
    )
