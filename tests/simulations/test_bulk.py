"""Stored vertices in frames that fit."""

from __future__ import annotations

from meshnode.core.admission import FRAME_BYTES_MAX
from meshnode.core.effects import SendStored
from meshnode.core.messages import Items, Push, encode_message
from simulations.bulk import pack_stored

WIRES = {bytes([n]) * 32: bytes([n]) * 20_000 for n in range(7)}
IDS = tuple(WIRES)


def pack(effect: SendStored) -> list[Push | Items]:
    messages = list(pack_stored(effect, WIRES.get))
    assert all(len(encode_message(message)) <= FRAME_BYTES_MAX for message in messages)
    assert [wire for one in messages for wire in one.vertices] == [
        WIRES[item] for item in effect.ids if item in WIRES
    ]
    return messages


def test_pushes_hold_what_fits_and_are_never_empty():
    assert len(pack(SendStored("p", 0, IDS))) == 4
    assert pack(SendStored("p", 0, ())) == []


def test_the_last_item_ends_the_answer_and_names_what_is_missing():
    messages = pack(SendStored("p", 5, (*IDS, b"x" * 32), missing=(b"y" * 32,)))
    assert all(isinstance(message, Items) for message in messages)
    assert [message.last for message in messages if isinstance(message, Items)] == [
        False,
        False,
        False,
        True,
    ]
    last = messages[-1]
    assert isinstance(last, Items)
    assert last.missing == (b"y" * 32, b"x" * 32)


def test_an_answer_without_vertices_is_sent_all_the_same():
    (only,) = pack(SendStored("p", 5, (b"x" * 32,)))
    assert only == Items(5, (), (b"x" * 32,), 0, last=True)


def test_what_is_missing_gets_a_frame_of_its_own_where_it_does_not_fit():
    missing = tuple(n.to_bytes(32, "big") for n in range(600))
    messages = pack(SendStored("p", 5, IDS[:2], missing=missing))
    assert [len(message.vertices) for message in messages] == [2, 0]
