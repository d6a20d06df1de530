"""Proof of a fork: two signed headers of one author that exclude each other.

Headers name parents and body by digest, so evidence fits a body however large the two vertices
were. It travels as the body of an ordinary vertex, as bytes, and references neither of the two.

The slot (author, lane, seq) alone proves a fork. A committee may have a further rule for blocks,
(author, epoch, round): then the bodies come along, and the caller says how to read a position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from dag.bodies import Evidence, Testimony
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.crypto import verify_suite
from dag.errors import InvalidSignature, InvalidVertex, MessageTooLarge, WrongNetwork
from dag.genesis import Suite
from dag.identity import compute_author_id
from dag.keys import PublicKeys
from dag.types import BODY_BYTES_MAX, LANE_BLOCKS, WIRE_VERSION, Kind, Ref
from dag.vertex import (
    BODY_DOMAIN,
    Header,
    SignedVertex,
    compute_header,
    compute_header_id,
    compute_signed_message,
)

HEADER_BYTES_MAX: Final = 512

Position = tuple[int, int]
"""(epoch, round) of a block."""
ReadPosition = Callable[[bytes], Position | None]
"""Reads a block's position from its body; None for a body that has none."""

_header_decoder: Final = CanonicalDecoder(Header, what="header", bytes_max=HEADER_BYTES_MAX)


class ProvenFork(msgspec.Struct, frozen=True):
    """What evidence proves, ids ascending."""

    author: bytes
    lane: int
    seq: int
    """Of the vertex with the lower id; the other's differs where only the position is shared."""
    first: Ref
    second: Ref


def make_evidence(one: SignedVertex, other: SignedVertex, *, with_bodies: bool = False) -> Evidence:
    """Write the evidence of two vertices, in the order of their ids.

    Raises `MessageTooLarge` if bodies make it larger than a vertex's body may be.
    """
    first, second = sorted((one, other), key=lambda signed: signed.id)
    evidence = Evidence(
        _testify(first, with_body=with_bodies), _testify(second, with_body=with_bodies)
    )
    size_bytes = len(encode(evidence))
    if size_bytes > BODY_BYTES_MAX:
        raise MessageTooLarge("evidence", size_bytes, BODY_BYTES_MAX)
    return evidence


def _testify(signed: SignedVertex, *, with_body: bool) -> Testimony:
    header = encode(compute_header(signed.vertex))
    return Testimony(header, signed.signature, signed.vertex.body if with_body else b"")


def read_accused(evidence: Evidence) -> bytes:
    """The author that evidence is about, as it says; not verified.

    Raises `MalformedMessage` or `MessageTooLarge`.
    """
    return _header_decoder.decode(evidence.first.header).author


def verify_evidence(
    keys: PublicKeys,
    suite: Suite,
    network: bytes,
    evidence: Evidence,
    read_position: ReadPosition | None = None,
) -> ProvenFork:
    """Check evidence under the accused's keys; the cheap checks go first.

    Raises `MalformedMessage`, `MessageTooLarge`, `WrongNetwork`, `InvalidVertex` or
    `InvalidSignature`.
    """
    first = _header_decoder.decode(evidence.first.header)
    second = _header_decoder.decode(evidence.second.header)
    first_id, second_id = compute_header_id(first), compute_header_id(second)
    if first_id >= second_id:
        raise InvalidVertex("evidence-order", "two vertices stand in the order of their ids")
    if first.version != WIRE_VERSION or second.version != WIRE_VERSION:
        raise InvalidVertex("version", f"headers are of version {WIRE_VERSION}")
    if first.network != network or second.network != network:
        raise WrongNetwork("evidence about another network")
    if (first.author, first.lane) != (second.author, second.lane):
        raise InvalidVertex("evidence-author", "two vertices are of one author and lane")
    if compute_author_id(keys.ed25519_key, keys.mldsa65_key) != first.author:
        raise InvalidSignature("the keys are not the accused's")
    if first.seq != second.seq and not _share_position(first, second, evidence, read_position):
        raise InvalidVertex("evidence-slot", "two vertices share a slot")
    for vertex_id, testimony in ((first_id, evidence.first), (second_id, evidence.second)):
        message = compute_signed_message(vertex_id)
        if not verify_suite(suite, keys, message, testimony.signature):
            raise InvalidSignature(f"vertex {vertex_id.hex()[:16]} is not the accused's")
    return ProvenFork(
        first.author,
        first.lane,
        first.seq,
        Ref(first.lamport, first_id),
        Ref(second.lamport, second_id),
    )


def _share_position(
    first: Header, second: Header, evidence: Evidence, read_position: ReadPosition | None
) -> bool:
    """Whether two blocks claim one (epoch, round)."""
    if read_position is None or first.lane != LANE_BLOCKS:
        return False
    if first.kind != Kind.BLOCK or second.kind != Kind.BLOCK:
        return False
    positions: list[Position | None] = []
    for header, testimony in ((first, evidence.first), (second, evidence.second)):
        if compute_digest(BODY_DOMAIN, testimony.body) != header.body_digest:
            return False
        positions.append(read_position(testimony.body))
    return positions[0] is not None and positions[0] == positions[1]
