"""Evidence: what proves a fork, and what does not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dag import bodies as records
from dag.bodies import EVIDENCE_DECODER, Evidence
from dag.canonical import encode
from dag.errors import (
    InvalidMessage,
    InvalidSignature,
    InvalidVertex,
    MessageTooLarge,
    WrongNetwork,
)
from dag.evidence import make_evidence, read_accused, verify_evidence
from dag.types import BODY_BYTES_MAX, LANE_BLOCKS
from dag.vertex import compute_header
from tests.support.dag_builder import DagBuilder


def change(record, **fields):
    return msgspec.structs.replace(record, **fields)


@pytest.fixture(params=["ed25519", "hybrid"])
def builder(request):
    return DagBuilder(2, suite=request.param).profiles().layer().fork(1)


def check(builder, evidence, **kwargs):
    keys = builder.people[1].keys
    return verify_evidence(keys, builder.suite, builder.network, evidence, **kwargs)


def test_two_vertices_of_one_slot_prove_a_fork(builder):
    one, two = builder.last(1), builder.vertices[-1]
    evidence = make_evidence(one, two)
    assert evidence == make_evidence(two, one)
    assert EVIDENCE_DECODER.decode(encode(evidence)) == evidence
    assert read_accused(evidence) == builder.people[1].author
    proven = check(builder, evidence)
    assert (proven.author, proven.lane, proven.seq) == (builder.people[1].author, 0, 1)
    assert {proven.first, proven.second} == {one.ref, two.ref}
    assert proven.first.id < proven.second.id


def test_evidence_of_the_largest_vertices_fits_a_body():
    builder = DagBuilder(9, suite="hybrid").profiles()
    big = builder.vertex(0, body=bytes(BODY_BYTES_MAX))
    twin = builder.twin(big, body=b"1" * BODY_BYTES_MAX)
    assert len(encode(make_evidence(big, twin))) < BODY_BYTES_MAX
    with pytest.raises(MessageTooLarge):
        make_evidence(big, twin, with_bodies=True)


def test_one_vertex_twice_proves_nothing(builder):
    one = builder.last(1)
    with pytest.raises(InvalidVertex, match="evidence-order"):
        check(builder, make_evidence(one, one))
    evidence = make_evidence(one, builder.vertices[-1])
    with pytest.raises(InvalidVertex, match="evidence-order"):
        check(builder, Evidence(evidence.second, evidence.first))


def test_other_keys_networks_slots_and_signatures_prove_nothing(builder):
    one, two = builder.last(1), builder.vertices[-1]
    evidence = make_evidence(one, two)
    keys = builder.people[0].keys
    with pytest.raises(InvalidSignature, match="keys"):
        verify_evidence(keys, builder.suite, builder.network, evidence)
    with pytest.raises(WrongNetwork):
        verify_evidence(builder.people[1].keys, builder.suite, bytes(32), evidence)
    with pytest.raises(InvalidVertex, match="evidence-slot"):
        check(builder, make_evidence(one, builder.vertices[1]))
    with pytest.raises(InvalidVertex, match="evidence-author"):
        check(builder, make_evidence(one, builder.last(0)))
    for name in ("first", "second"):
        broken = change(getattr(evidence, name), signature=b"")
        with pytest.raises(InvalidSignature, match="accused"):
            check(builder, change(evidence, **{name: broken}))


def test_header_of_another_version_proves_nothing():
    builder = DagBuilder(2).profiles().layer().fork(1)
    headers = [compute_header(signed.vertex) for signed in (builder.last(1), builder.vertices[-1])]
    for position in (0, 1):
        changed = [*headers]
        changed[position] = change(headers[position], version=2)
        testimonies = [records.Testimony(encode(header), b"", b"") for header in changed]
        for pair in (testimonies, testimonies[::-1]):
            with pytest.raises(InvalidVertex, match=r"version|evidence-order"):
                check(builder, Evidence(*pair))


def blocks(bodies, *, lane=LANE_BLOCKS, kind=1):
    """Two blocks of one author in different slots."""
    builder = DagBuilder(2).profiles()
    made = [
        builder.vertex(1, kind=kind, body=body, parents=builder.heads, lane=lane) for body in bodies
    ]
    return builder, made


def read_position(body):
    return (body[0], body[1]) if len(body) >= 2 else None


def test_two_blocks_of_one_position_prove_a_fork():
    builder, (one, two) = blocks([b"\x01\x05a", b"\x01\x05b"])
    evidence = make_evidence(one, two, with_bodies=True)
    proven = check(builder, evidence, read_position=read_position)
    assert {proven.first, proven.second} == {one.ref, two.ref}


@pytest.mark.parametrize(
    ("bodies", "fields", "reader", "with_bodies"),
    [
        ([b"\x01\x05a", b"\x01\x06b"], {}, read_position, True),
        ([b"", b"\x01\x05b"], {}, read_position, True),
        ([b"\x01", b"\x02"], {}, read_position, True),
        ([b"\x01\x05a", b"\x01\x05b"], {}, read_position, False),
        ([b"\x01\x05a", b"\x01\x05b"], {}, None, True),
        ([b"\x01\x05a", b"\x01\x05b"], {"kind": 3}, read_position, True),
        ([b"\x01\x05a", b"\x01\x05b"], {"lane": 0}, read_position, True),
    ],
)
def test_blocks_without_a_shared_position_prove_nothing(bodies, fields, reader, with_bodies):
    builder, (one, two) = blocks(bodies, **fields)
    with pytest.raises(InvalidVertex, match="evidence-slot"):
        check(builder, make_evidence(one, two, with_bodies=with_bodies), read_position=reader)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_give_typed_error(first, second):
    builder = DagBuilder(2)
    evidence = Evidence(records.Testimony(first, b"", b""), records.Testimony(second, b"", b""))
    with pytest.raises(InvalidMessage):
        check(builder, evidence)
