"""The published vectors are what this code computes, and a second decoder reads them alike."""

from __future__ import annotations

import hashlib

import msgpack  # type: ignore[import-untyped]
import pytest

from dag.bodies import EVIDENCE_DECODER, INVITATION_DECODER, SIGNED_INVITATION_DECODER
from dag.crypto import verify_suite
from dag.errors import InvalidMessage
from dag.evidence import verify_evidence
from dag.genesis import compute_network_id, decode_genesis
from dag.identity import verify_bearer, verify_invitation, verify_vertex
from dag.vertex import decode_signed
from tests.support.dag_builder import Person, make_person
from tests.vectors import generate

VECTORS = generate.read()
NETWORK = bytes.fromhex(VECTORS["genesis"]["network"])
PEOPLE: dict[bytes, Person] = {make_person(number).author: make_person(number) for number in (0, 1)}


def test_file_is_what_the_code_computes():
    assert generate.build(VECTORS) == VECTORS


def test_genesis_vector_names_its_network():
    genesis = decode_genesis(bytes.fromhex(VECTORS["genesis"]["bytes"]))
    assert compute_network_id(genesis) == NETWORK


@pytest.mark.parametrize("case", VECTORS["vertices"], ids=lambda case: case["id"][:8])
def test_vertex_vector_verifies_and_reads_alike_elsewhere(case):
    wire = bytes.fromhex(case["wire"])
    signed = decode_signed(wire)
    assert signed.id.hex() == case["id"]
    verify_vertex(PEOPLE[signed.vertex.author].keys, "ed25519", signed)
    unsigned, signature = msgpack.unpackb(wire)
    fields = msgpack.unpackb(unsigned)
    assert signature.hex() == case["signature"]
    assert generate.to_json(fields) == list_of(case["vertex"])
    header = msgpack.packb(
        [
            *fields[:8],
            digest(b"meshnode/parents/1", msgpack.packb(fields[8])),
            digest(b"meshnode/body/1", fields[9]),
        ]
    )
    assert header.hex() == case["header"]
    assert digest(b"meshnode/vertex/1", header).hex() == case["id"]


def digest(domain, data):
    return hashlib.sha256(domain + b"\x00" + data).digest()


def list_of(vertex):
    return list(vertex.values())


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["why"])
def test_refused_vector_is_refused(case):
    with pytest.raises(InvalidMessage) as caught:
        decode_signed(bytes.fromhex(case["wire"]))
    assert caught.value.code == case["error"]


def test_hybrid_vector_verifies():
    case = VECTORS["hybrid"]
    message, signature = bytes.fromhex(case["message"]), bytes.fromhex(case["signature"])
    assert verify_suite("hybrid", make_person(0, "hybrid").keys, message, signature)


def test_invitation_vector_verifies():
    case = VECTORS["invitation"]
    signed = SIGNED_INVITATION_DECODER.decode(bytes.fromhex(case["proved"]))
    invitation = INVITATION_DECODER.decode(signed.invitation)
    verify_invitation(make_person(0).keys, "ed25519", NETWORK, signed)
    verify_bearer(invitation, bytes.fromhex(case["joiner"]), signed.bearer_proof)


def test_checkpoint_vector_reads_alike_elsewhere():
    case = VECTORS["checkpoint"]
    data = bytes.fromhex(case["bytes"])
    fields = msgpack.unpackb(data)
    assert msgpack.packb(fields) == data
    assert digest(b"meshnode/state-root/1", data).hex() == case["root"]
    ((_, part_digest, size_bytes),) = fields[9]
    piece = bytes.fromhex(case["piece"])
    assert digest(b"meshnode/snapshot-part/1", piece) == part_digest
    assert len(piece) == size_bytes
    *_, votes = msgpack.unpackb(bytes.fromhex(case["vote_body"]))
    assert votes[-1] == [fields[2], fields[3], bytes.fromhex(case["root"])]


def test_evidence_vector_proves_its_fork():
    evidence = EVIDENCE_DECODER.decode(bytes.fromhex(VECTORS["evidence"]["bytes"]))
    proven = verify_evidence(make_person(0).keys, "ed25519", NETWORK, evidence)
    assert sorted(VECTORS["evidence"]["vertices"]) == [
        proven.first.id.hex(),
        proven.second.id.hex(),
    ]
