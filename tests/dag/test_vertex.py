"""Vertices: one id per content, and the shape one vertex alone can show."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag.canonical import encode
from dag.errors import InvalidMessage, InvalidVertex, MalformedMessage, MessageTooLarge
from dag.types import COUNTER_MAX, LANE_BLOCKS, WIRE_BYTES_MAX, Ref
from dag.vertex import (
    Envelope,
    compute_vertex_id,
    decode_signed,
    encode_vertex,
    seal,
    validate_shape,
)
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(3).profiles().layer().layer()
FIRST = BUILDER.vertices[0].vertex
LATER = BUILDER.vertices[-1].vertex


def change(vertex, **fields):
    return msgspec.structs.replace(vertex, **fields)


def test_decode_returns_what_was_signed():
    for signed in BUILDER.vertices:
        decoded = decode_signed(signed.wire)
        assert (decoded.id, decoded.vertex) == (signed.id, signed.vertex)
        assert decoded.ref == signed.ref


def test_seal_joins_a_detached_signature():
    signed = BUILDER.vertices[-1]
    sealed = seal(encode_vertex(signed.vertex), signed.signature)
    assert (sealed.id, sealed.wire) == (signed.id, signed.wire)


def test_id_leaves_signatures_out_and_everything_else_in():
    signed = BUILDER.vertices[-1]
    assert seal(encode(signed.vertex), b"other").id == signed.id
    ids = [
        compute_vertex_id(change(LATER, **{name: value}))
        for name, value in {
            "network": bytes(32),
            "author": bytes(32),
            "lane": 1,
            "seq": 9,
            "lamport": 9,
            "kind": 9,
            "time_ms": 9,
            "parents": (),
            "body": b"other",
        }.items()
    ]
    assert len({signed.id, *ids}) == 10


@pytest.mark.parametrize(
    ("rule", "vertex"),
    [
        ("version", change(FIRST, version=2)),
        ("id-length", change(FIRST, network=b"short")),
        ("id-length", change(FIRST, author=b"short")),
        ("lane", change(FIRST, lane=2)),
        ("counter", change(FIRST, seq=-1)),
        ("counter", change(FIRST, kind=COUNTER_MAX + 1)),
        ("body-size", change(FIRST, body=bytes(16_385))),
        (
            "parent-count",
            change(LATER, parents=tuple(Ref(i + 1, bytes([i]) * 32) for i in range(9))),
        ),
        ("own-previous", change(FIRST, seq=1)),
        ("parent-ref", change(LATER, parents=(Ref(1, b"short"),))),
        ("parent-ref", change(LATER, parents=(Ref(0, bytes(32)),))),
        ("parent-twice", change(LATER, parents=LATER.parents[:1] * 2)),
        ("lamport", change(LATER, lamport=9)),
        ("parent-order", change(LATER, parents=(*LATER.parents[:1], *LATER.parents[:0:-1]))),
    ],
)
def test_shape_names_the_broken_rule(rule, vertex):
    with pytest.raises(InvalidVertex) as caught:
        validate_shape(vertex)
    assert caught.value.rule == rule
    with pytest.raises(InvalidVertex):
        encode_vertex(vertex)
    wire = encode(Envelope(encode(vertex), b""))
    with pytest.raises(InvalidVertex):
        decode_signed(wire)


def test_blocks_may_name_parents_in_any_order():
    parents = tuple(Ref(lamport, bytes([lamport]) * 32) for lamport in range(20, 0, -1))
    validate_shape(change(LATER, lane=LANE_BLOCKS, parents=parents, lamport=21))


def test_oversized_wire_is_refused():
    with pytest.raises(MessageTooLarge):
        decode_signed(bytes(WIRE_BYTES_MAX + 1))
    with pytest.raises(MessageTooLarge):
        decode_signed(encode(Envelope(bytes(33_000), b"")))


@given(st.binary(max_size=400))
def test_any_bytes_give_typed_error(data):
    with pytest.raises(InvalidMessage):
        decode_signed(data)
    with pytest.raises(MalformedMessage):
        decode_signed(encode(Envelope(data, b"")))


@given(st.data())
def test_flipped_byte_changes_the_id_or_is_refused(data):
    signed = BUILDER.vertices[-1]
    position = data.draw(st.integers(0, len(signed.wire) - 1))
    flip = data.draw(st.integers(1, 255))
    wire = bytearray(signed.wire)
    wire[position] ^= flip
    try:
        decoded = decode_signed(bytes(wire))
    except InvalidMessage:
        return
    assert decoded.id != signed.id or decoded.signature != signed.signature
