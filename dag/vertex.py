"""The vertex: the only signed thing of the mesh.

Wire form: `[unsigned, signature]`, two byte strings in a MessagePack array, where `unsigned` holds
the canonical bytes of `Vertex`. The id leaves the signatures out, because ML-DSA signatures are
randomised: one vertex may carry many valid signatures and still is one vertex.

The id is the digest of the vertex's `Header`, in which parents and body stand as digests. So a
header of some 250 bytes and a signature prove who said what in which slot, and evidence of a fork
always fits a body, however large the two vertices are.
"""

from __future__ import annotations

import itertools
from typing import Final

import msgspec

from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import InvalidVertex
from dag.types import (
    BLOCK_PARENTS_MAX,
    BODY_BYTES_MAX,
    COUNTER_MAX,
    ID_BYTES,
    LANE_SPEECH,
    LANES,
    SPEECH_PARENTS_MAX,
    UNSIGNED_BYTES_MAX,
    WIRE_BYTES_MAX,
    WIRE_VERSION,
    Ref,
    VertexId,
)

ID_DOMAIN: Final = b"meshnode/vertex/1"
PARENTS_DOMAIN: Final = b"meshnode/parents/1"
BODY_DOMAIN: Final = b"meshnode/body/1"
SIGNATURE_DOMAIN: Final = b"meshnode/vertex-signature/1"


class Vertex(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What is signed. Field order is the wire order."""

    version: int
    network: bytes
    author: bytes
    lane: int
    seq: int
    """Position in the author's own chain of this lane, from 0."""
    lamport: int
    """1 + the highest parent's lamport; 1 without parents."""
    kind: int
    time_ms: int
    """The author's clock; advisory, decides nothing."""
    parents: tuple[Ref, ...]
    """In lane 0: own previous vertex first (none at seq 0), then ascending refs."""
    body: bytes


class Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A vertex with its parents and body as digests: what the id is taken over."""

    version: int
    network: bytes
    author: bytes
    lane: int
    seq: int
    lamport: int
    kind: int
    time_ms: int
    parents_digest: bytes
    body_digest: bytes


class Envelope(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The wire form of a vertex."""

    unsigned: bytes
    signature: bytes


class SignedVertex(msgspec.Struct, frozen=True, gc=False):
    """A decoded vertex beside its id and its bytes; says nothing about its signatures."""

    id: bytes
    vertex: Vertex
    wire: bytes
    signature: bytes

    @property
    def ref(self) -> Ref:
        """How children name this vertex."""
        return Ref(self.vertex.lamport, self.id)


_vertex_decoder: Final = CanonicalDecoder(Vertex, what="vertex", bytes_max=UNSIGNED_BYTES_MAX)
_envelope_decoder: Final = CanonicalDecoder(
    Envelope, what="signed vertex", bytes_max=WIRE_BYTES_MAX
)


def compute_header(vertex: Vertex) -> Header:
    """Replace parents and body by their digests."""
    return Header(
        vertex.version,
        vertex.network,
        vertex.author,
        vertex.lane,
        vertex.seq,
        vertex.lamport,
        vertex.kind,
        vertex.time_ms,
        compute_digest(PARENTS_DOMAIN, encode(vertex.parents)),
        compute_digest(BODY_DOMAIN, vertex.body),
    )


def compute_header_id(header: Header) -> VertexId:
    """Name a vertex by its header."""
    return VertexId(compute_digest(ID_DOMAIN, encode(header)))


def compute_vertex_id(vertex: Vertex) -> VertexId:
    """Name a vertex."""
    return compute_header_id(compute_header(vertex))


def compute_signed_message(vertex_id: bytes) -> bytes:
    """The bytes both signatures of a vertex cover; the id already binds network and author."""
    return SIGNATURE_DOMAIN + b"\x00" + vertex_id


def encode_vertex(vertex: Vertex) -> bytes:
    """The canonical unsigned bytes. Raises `InvalidVertex` for what no peer would accept."""
    validate_shape(vertex)
    return encode(vertex)


def seal(unsigned: bytes, signature: bytes) -> SignedVertex:
    """Join unsigned bytes and their signature to the wire form."""
    vertex = _vertex_decoder.decode(unsigned)
    return SignedVertex(
        compute_vertex_id(vertex), vertex, encode(Envelope(unsigned, signature)), signature
    )


def decode_signed(wire: bytes) -> SignedVertex:
    """Read a signed vertex; checks form and shape, not signatures.

    Raises `MalformedMessage`, `MessageTooLarge` or `InvalidVertex`.
    """
    envelope = _envelope_decoder.decode(wire)
    vertex = _vertex_decoder.decode(envelope.unsigned)
    validate_shape(vertex)
    return SignedVertex(compute_vertex_id(vertex), vertex, wire, envelope.signature)


def validate_shape(vertex: Vertex) -> None:
    """Check what one vertex alone can show. Raises `InvalidVertex` naming the rule."""
    if vertex.version != WIRE_VERSION:
        raise InvalidVertex("version", f"{vertex.version} is not {WIRE_VERSION}")
    if len(vertex.network) != ID_BYTES or len(vertex.author) != ID_BYTES:
        raise InvalidVertex("id-length", f"network and author are {ID_BYTES} bytes each")
    if vertex.lane not in LANES:
        raise InvalidVertex("lane", f"{vertex.lane} is no lane")
    _validate_counters(vertex)
    if len(vertex.body) > BODY_BYTES_MAX:
        raise InvalidVertex("body-size", f"{len(vertex.body)} > {BODY_BYTES_MAX} bytes")
    _validate_parents(vertex)


def _validate_counters(vertex: Vertex) -> None:
    for name, value in (
        ("seq", vertex.seq),
        ("lamport", vertex.lamport),
        ("kind", vertex.kind),
        ("time_ms", vertex.time_ms),
    ):
        if not 0 <= value <= COUNTER_MAX:
            raise InvalidVertex("counter", f"{name} {value} is out of range")


def _validate_parents(vertex: Vertex) -> None:
    parents = vertex.parents
    parents_max = SPEECH_PARENTS_MAX if vertex.lane == LANE_SPEECH else BLOCK_PARENTS_MAX
    if len(parents) > parents_max:
        raise InvalidVertex("parent-count", f"{len(parents)} > {parents_max}")
    if vertex.seq > 0 and not parents:
        raise InvalidVertex("own-previous", "a vertex after seq 0 names its predecessor first")
    highest = 0
    for ref in parents:
        if len(ref.id) != ID_BYTES or not 1 <= ref.lamport <= COUNTER_MAX:
            raise InvalidVertex("parent-ref", "a parent is a lamport from 1 and a 32-byte id")
        highest = max(highest, ref.lamport)
    if len({ref.id for ref in parents}) != len(parents):
        raise InvalidVertex("parent-twice", "a parent is named once")
    if vertex.lamport != highest + 1:
        raise InvalidVertex("lamport", f"{vertex.lamport} is not 1 + {highest}")
    if vertex.lane == LANE_SPEECH:
        others = parents[1:] if vertex.seq > 0 else parents
        if any(left >= right for left, right in itertools.pairwise(others)):
            raise InvalidVertex("parent-order", "parents after the first ascend")
