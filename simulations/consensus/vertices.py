"""Unsigned block vertices: read and judged as real ones are, and far cheaper to make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from consensus.block import BlockBody, encode_body
from dag.types import LANE_BLOCKS, WIRE_VERSION, Kind, Ref
from dag.vertex import SignedVertex, Vertex, compute_vertex_id

if TYPE_CHECKING:
    from consensus.committee import Committee

NETWORK: Final = bytes(32)


def make_block_vertex(
    committee: Committee,
    author: int,
    parents: Sequence[Ref],
    *,
    round_: int,
    previous_round: int,
    seq: int,
    time_ms: int,
    payload: Sequence[Ref] = (),
) -> SignedVertex:
    """The vertex of a block; its id is the real one, and nobody looks at its signature."""
    body = BlockBody(committee.epoch, round_, previous_round, len(parents))
    refs = (*parents, *payload)
    vertex = Vertex(
        version=WIRE_VERSION,
        network=NETWORK,
        author=committee.validators[author].author,
        lane=LANE_BLOCKS,
        seq=seq,
        lamport=1 + max((ref.lamport for ref in refs), default=0),
        kind=Kind.BLOCK,
        time_ms=max(0, time_ms),
        parents=refs,
        body=encode_body(body),
    )
    return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")
