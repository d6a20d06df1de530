"""The published vectors are what this code computes, and the asking side computes them, too."""

from __future__ import annotations

from typing import Any

import pytest

from dag.kem import Encapsulated
from meshnode.sealed.frames import Box, Opener
from meshnode.sealed.handshake import Accept
from meshnode.serving.protocol import decode_answer_frame, decode_ask_frame
from tests.support.sealing import ALICE, BOB, begin
from tests.vectors import generate_sealed

VECTORS = generate_sealed.read()


def read_hex(*names):
    found: Any = VECTORS
    for name in names:
        found = found[name]
    return bytes.fromhex(found)


def test_file_is_what_the_code_computes():
    assert generate_sealed.build(VECTORS) == VECTORS


def test_asking_side_comes_to_the_keys_of_the_vectors():
    shared, ciphertext = read_hex("to_server", "shared"), read_hex("to_server", "ciphertext")
    asking = begin(encapsulated=Encapsulated(shared, ciphertext))
    assert asking.open == decode_ask_frame(read_hex("open"))
    accept = decode_answer_frame(read_hex("accept"))
    assert isinstance(accept, Accept)
    keys = asking.finish(accept)
    assert (keys.ask, keys.answer) == (read_hex("ask_key"), read_hex("answer_key"))
    assert keys.ask != keys.answer


@pytest.mark.parametrize("direction", ["ask", "answer"])
def test_frames_of_the_vectors_open(direction):
    opener = Opener(read_hex(f"{direction}_key"))
    first, second, *_ = VECTORS[f"{direction}_frames"]
    assert opener.open(Box(bytes.fromhex(first["box"]["bytes"]))).content == b"a question"
    assert opener.open(Box(bytes.fromhex(second["box"]["bytes"]))).content == b""


def test_parties_are_those_of_the_vectors():
    for name, party in (("asker", ALICE), ("server", BOB)):
        assert VECTORS[name] == generate_sealed.describe_party(party)
