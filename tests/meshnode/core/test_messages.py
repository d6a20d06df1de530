"""The bytes on the wire are fixed: tag first, shortest forms."""

from __future__ import annotations

from typing import get_args

from meshnode.core.inputs import Vertices
from meshnode.core.messages import (
    PROOF_DOMAIN,
    Goodbye,
    Message,
    Ping,
    compute_proof_message,
    encode_message,
)


def test_messages_are_arrays_that_begin_with_their_tag():
    assert encode_message(Ping(300)) == b"\x92\x06\xcd\x01\x2c"
    assert encode_message(Goodbye("x")) == b"\x92\x04\xa1x"


def test_tags_are_the_numbers_from_one_but_for_that_of_checked_vertices():
    tags = [message.__struct_config__.tag for message in get_args(Message)]
    assert tags == [*range(1, 16), *range(17, 27)]
    assert Vertices.__struct_config__.tag == 16


def test_proof_binds_network_both_ids_and_both_nonces_in_order():
    message = compute_proof_message(b"n", "me", b"1", "you", b"2")
    assert message == PROOF_DOMAIN + b"\x00\x95\xc4\x01n\xa2me\xc4\x011\xa3you\xc4\x012"
    assert message != compute_proof_message(b"n", "you", b"2", "me", b"1")
