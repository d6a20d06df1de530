"""A block: the lane-1 vertex of a validator, as consensus reads it.

The parents of a block vertex stand in this order: the author's previous block, one block of each
other validator it builds on, then lane-0 heads that none of those blocks has seen. Where the
author's previous lane-1 vertex belongs to an earlier epoch, it still stands first, because lanes
are chains, and is not a block parent.

Each author has one implicit block in round 0, its genesis block. It is fixed by the committee and
the commit its epoch starts from, so it is never sent, named or output; a block of round 1 stands on
all of them. In a later epoch it may name the leader of that commit instead: nothing else lifts the
lamport of somebody's first block above those of the blocks that were put away before.
"""

from __future__ import annotations

from typing import Final

import msgspec

from consensus.errors import InvalidBlock
from dag.canonical import CanonicalDecoder, encode
from dag.errors import InvalidMessage
from dag.types import BODY_BYTES_MAX, Ref
from dag.vertex import SignedVertex, Vertex

GENESIS_ROUND: Final = 0
PAYLOAD_PARENTS_MAX: Final = 64
"""Lane-0 heads one block may name."""
COMMIT_VOTES_MAX: Final = 64


class CommitVote(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An author's word that it reached a commit with this digest."""

    index: int
    digest: bytes
    root: bytes = b""
    """At a checkpoint, of the whole state after the commit: see `consensus.checkpoint`."""


class BlockBody(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a block says beside its parents. Its time is the vertex's."""

    epoch: int
    round: int
    previous_round: int
    """Round of the author's previous block in this epoch, 0 for its genesis block."""
    parent_count: int
    """How many of the vertex's parents are blocks of this epoch."""
    votes: tuple[CommitVote, ...] = ()
    """Commits reached, indexes ascending."""


class Block(msgspec.Struct, frozen=True):
    """A block with its author as a position in the committee."""

    ref: Ref
    author: int
    round: int
    parents: tuple[Ref, ...]
    """Blocks, own previous first; genesis blocks are left out."""
    payload: tuple[Ref, ...] = ()
    """Lane-0 vertices."""
    time_ms: int = 0
    votes: tuple[CommitVote, ...] = ()
    previous_round: int = GENESIS_ROUND
    genesis: tuple[Ref, ...] = ()
    """What a block of round 1 names for genesis: the last leader before the epoch, or nothing."""
    predecessor: Ref | None = None
    """The author's last lane-1 vertex before this epoch, where this is its first block in it."""

    @property
    def id(self) -> bytes:
        """The vertex id: the digest that orders twins."""
        return self.ref.id


_decoder: Final = CanonicalDecoder(BlockBody, what="block", bytes_max=BODY_BYTES_MAX)
_layout_decoder: Final = msgspec.msgpack.Decoder(BlockBody)


def encode_body(body: BlockBody) -> bytes:
    """The canonical bytes of a block's body."""
    return encode(body)


def read_body(data: bytes) -> BlockBody:
    """Read the body of a block. Raises `InvalidBlock` for bytes that are none."""
    try:
        return _decoder.decode(data)
    except InvalidMessage as error:
        raise InvalidBlock("body", error.message) from None


def read_position(data: bytes) -> tuple[int, int] | None:
    """(epoch, round) of a block's body, None where it has none: how evidence compares blocks."""
    try:
        body = read_body(data)
    except InvalidBlock:
        return None
    return body.epoch, body.round


def count_block_parents(vertex: Vertex) -> int:
    """How many of its first parents a lane-1 vertex names as blocks: see `dag.index`.

    What is no block names its predecessor so, and nothing else. Never raises.
    """
    try:
        body = _layout_decoder.decode(vertex.body)
    except (msgspec.DecodeError, ValueError):
        return min(vertex.seq, 1)
    has_predecessor = vertex.seq > 0 and body.previous_round == GENESIS_ROUND
    return min(max(body.parent_count, 0) + has_predecessor, len(vertex.parents))


def read_block(signed: SignedVertex, body: BlockBody, author: int) -> Block:
    """Split the parents of a block vertex. Raises `InvalidBlock` where they are too few."""
    refs = signed.vertex.parents
    predecessor = None
    if signed.vertex.seq > 0 and body.previous_round == GENESIS_ROUND and refs:
        predecessor, refs = refs[0], refs[1:]
    if not 0 <= body.parent_count <= len(refs):
        raise InvalidBlock("layout", f"{body.parent_count} of {len(refs)} parents cannot be blocks")
    is_first = body.round == GENESIS_ROUND + 1
    blocks = refs[: body.parent_count]
    return Block(
        ref=signed.ref,
        author=author,
        round=body.round,
        parents=() if is_first else blocks,
        genesis=blocks if is_first else (),
        payload=refs[body.parent_count :],
        time_ms=signed.vertex.time_ms,
        votes=body.votes,
        previous_round=body.previous_round,
        predecessor=predecessor,
    )
