"""Canonical bytes: one form per value, and nothing else is read."""

from __future__ import annotations

import hashlib
from typing import Any

import msgpack  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.bodies import (
    EVIDENCE_DECODER,
    INVITATION_DECODER,
    NOTE_DECODER,
    PROFILE_DECODER,
    RESULT_DECODER,
    SIGNED_INVITATION_DECODER,
    Note,
)
from dag.canonical import CanonicalDecoder, SizedDecoder, compute_digest, compute_digests, encode
from dag.errors import MalformedMessage, MessageTooLarge
from tests.support.dag_builder import DagBuilder

DECODERS: list[CanonicalDecoder[Any] | SizedDecoder[Any]] = [
    EVIDENCE_DECODER,
    INVITATION_DECODER,
    NOTE_DECODER,
    PROFILE_DECODER,
    RESULT_DECODER,
    SIGNED_INVITATION_DECODER,
]


class Pair(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    data: bytes


PAIRS = CanonicalDecoder(Pair, what="pair", bytes_max=64)


def test_decode_returns_what_was_encoded():
    pair = Pair(7, b"x")
    assert PAIRS.decode(encode(pair)) == pair


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x92\xcc\x07\xc4\x01x",  # 7 as uint8: a longer form than needed
        b"\x92\x07\xc5\x00\x01x",  # bin16 where bin8 is enough
        b"\x93\x07\xc4\x01x\x00",  # an element too many
        b"\x91\x07",  # an element too few
        b"\x92\x07\xa1x",  # text where bytes belong
        b"\x92\xc2\xc4\x01x",  # a boolean where a number belongs
        b"\x92\x07\xc4\x01xx",  # bytes behind the end
        b"\x91" * 60,  # nested deeply
    ],
)
def test_decode_refuses_other_forms(data):
    with pytest.raises(MalformedMessage):
        PAIRS.decode(data)


def test_decode_refuses_length_before_reading():
    with pytest.raises(MessageTooLarge) as caught:
        PAIRS.decode(bytes(65))
    assert (caught.value.size, caught.value.size_max) == (65, 64)
    assert "pair is 65 where at most 64 is allowed" in str(caught.value)


@given(st.binary(max_size=300))
def test_decode_gives_typed_error_or_round_trip(data):
    for decoder in DECODERS:
        try:
            value = decoder.decode(data)
        except MalformedMessage:
            continue
        assert encode(value) == data


@given(st.integers(0, 2**63 - 1), st.text(max_size=20), st.binary(max_size=40))
def test_second_library_reads_and_writes_the_same(number, text, data):
    ours = encode(Note(text, str(number), data))
    assert msgpack.unpackb(ours) == [text, str(number), data]
    assert msgpack.packb([text, str(number), data]) == ours


def test_second_library_agrees_on_vertices():
    builder = DagBuilder(3).profiles().layer().layer()
    for signed in builder.vertices:
        unsigned, signature = msgpack.unpackb(signed.wire)
        fields = msgpack.unpackb(unsigned)
        assert signature == signed.signature
        assert fields[2] == signed.vertex.author
        assert [tuple(ref) for ref in fields[8]] == [
            (ref.lamport, ref.id) for ref in signed.vertex.parents
        ]
        assert msgpack.packb([msgpack.packb(fields), signature]) == signed.wire


def test_digest_separates_domains():
    assert compute_digest(b"a", b"b") == hashlib.sha256(b"a\x00b").digest()
    assert compute_digest(b"a", b"b") != compute_digest(b"b", b"b")


def test_many_digests_are_those_of_each():
    contents = [b"", b"b", bytes(100)]
    assert compute_digests(b"a", contents) == [compute_digest(b"a", each) for each in contents]
