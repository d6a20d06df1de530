"""The rules of blocks: one function and one rule name each, the same answer at every honest node.

A rule reads a block's bytes, the blocks it builds on, the committee of its epoch, and the lane-0
vertices it covers. None reads a clock: a block stamped early is accepted, for its author's word
counts as one among a median, and so does one stamped far ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from consensus.block import (
    COMMIT_VOTES_MAX,
    GENESIS_ROUND,
    PAYLOAD_PARENTS_MAX,
    Block,
    BlockBody,
    read_block,
    read_body,
    read_position,
)
from consensus.block_store import BlockStore
from consensus.committee import FIRST_EPOCH, Committee
from consensus.coverage import (
    COVERED_BYTES_MAX,
    COVERED_COUNT_MAX,
    PayloadIndex,
    collect_covered,
    get_last_round,
)
from consensus.errors import InvalidBlock, Release
from dag.types import COUNTER_MAX, ID_BYTES, LANE_BLOCKS, LANE_SPEECH, Kind, Ref
from dag.vertex import SignedVertex, Vertex

FOREIGN_RULES: Final = ("network", "author", "epoch")
"""Rules whose breach shows a vertex to be none of this epoch's committee's blocks."""


class FutureEpoch(InvalidBlock):
    """A block of an epoch that has not begun here: to be judged again when it has."""

    code = "future_epoch"


def check_vertex(vertex: Vertex, network: bytes, committee: Committee) -> int:
    """The author's position. A block is a lane-1 vertex of this network by a committee member.

    Who is not in this committee may be in one to come.
    """
    if vertex.network != network:
        raise InvalidBlock("network", "another network's vertex")
    author = committee.get_index(vertex.author)
    is_block = vertex.lane == LANE_BLOCKS and vertex.kind == Kind.BLOCK
    if author is None:
        position = read_position(vertex.body) if is_block else None
        if position is not None and position[0] > committee.epoch:
            raise FutureEpoch("epoch", f"{position[0]} is after {committee.epoch}")
        raise InvalidBlock("author", "its author is not in the committee")
    if not is_block:
        raise InvalidBlock("kind", f"kind {vertex.kind} in lane {vertex.lane} is no block")
    return author


def check_epoch(body: BlockBody, committee: Committee) -> None:
    """A block belongs to one epoch."""
    if body.epoch > committee.epoch:
        raise FutureEpoch("epoch", f"{body.epoch} is after {committee.epoch}")
    if body.epoch != committee.epoch:
        raise InvalidBlock("epoch", f"{body.epoch} is not {committee.epoch}")


def check_round(body: BlockBody) -> None:
    """Rounds count from 1: round 0 is derived by everybody, never received."""
    if not GENESIS_ROUND < body.round <= COUNTER_MAX:
        raise InvalidBlock("round", f"{body.round} is out of range; genesis is never sent")
    if not GENESIS_ROUND <= body.previous_round < body.round:
        raise InvalidBlock("round", f"{body.previous_round} is not below {body.round}")


def check_votes(body: BlockBody) -> None:
    """Commit votes are few, and each commit is voted for once.

    Which commits are checkpoints is a parameter of the network, so a root may stand by any of them.
    """
    if len(body.votes) > COMMIT_VOTES_MAX:
        raise InvalidBlock("votes", f"{len(body.votes)} > {COMMIT_VOTES_MAX}")
    last = 0
    for vote in body.votes:
        if not last < vote.index <= COUNTER_MAX or len(vote.digest) != ID_BYTES:
            raise InvalidBlock("votes", "votes have ascending indexes from 1 and 32-byte digests")
        if vote.root and len(vote.root) != ID_BYTES:
            raise InvalidBlock("votes", "a root is empty or has 32 bytes")
        last = vote.index


def check_size(block: Block, committee: Committee) -> None:
    """At most one parent per author, and few lane-0 heads."""
    if len(block.parents) > len(committee):
        raise InvalidBlock(
            "size", f"{len(block.parents)} block parents of {len(committee)} authors"
        )
    if len(block.payload) > PAYLOAD_PARENTS_MAX:
        raise InvalidBlock("size", f"{len(block.payload)} > {PAYLOAD_PARENTS_MAX} lane-0 parents")


def check_genesis(block: Block, committee: Committee) -> None:
    """A block of round 1 stands on genesis, which is derived: it names no block of its epoch."""
    if len(block.genesis) > (committee.epoch > FIRST_EPOCH):
        raise InvalidBlock("genesis", "genesis blocks are derived, never named")


def check_last_leader(block: Block, ordered: Sequence[bytes]) -> None:
    """What it names for genesis is the leader of the commit that its epoch starts from."""
    if block.genesis and [ref.id for ref in block.genesis] != list(ordered[-1:]):
        raise InvalidBlock("genesis", "it names another block than the last leader before")


def check_parents(block: Block, store: BlockStore) -> None:
    """Every block parent is a valid block of this epoch, or lies below the floor."""
    for ref in block.parents:
        if store.is_below_floor(ref) or store.find(ref) is not None:
            continue
        release = Release(lamport=ref.lamport, vertex_id=ref.id)
        name = ref.id.hex()[:12]
        if store.is_inert(ref.id):
            raise InvalidBlock("inert-parent", f"{name} broke a rule", release=release)
        raise InvalidBlock("unknown-parent", f"{name} is no block of this epoch", release=release)


def check_age(block: Block, store: BlockStore) -> None:
    """A block stands above all that was put away before its epoch, or peers would pass it over.

    Blocks of round 1 meet this by their author's last block or the last leader; the others follow.
    """
    if block.ref.lamport <= store.epoch_lamport:
        raise InvalidBlock("age", f"lamport {block.ref.lamport} is not above {store.epoch_lamport}")


def check_rounds(block: Block, store: BlockStore) -> None:
    """Every parent is of a lower round."""
    for parent in _get_parents(block, store):
        if parent.round >= block.round:
            raise _blame((parent,), "parent-round", f"{parent.round} is not below {block.round}")


def check_authors(block: Block, store: BlockStore) -> None:
    """At most one parent per author: this is what makes a vote unique."""
    seen: dict[int, Block] = {}
    for parent in _get_parents(block, store):
        other = seen.setdefault(parent.author, parent)
        if other is not parent:
            raise _blame((other, parent), "parent-author", f"two parents by author {parent.author}")


def check_previous(block: Block, store: BlockStore) -> None:
    """The first parent is the author's previous block, unless that is its genesis block."""
    if block.previous_round == GENESIS_ROUND:
        _check_first(block, store)
        return
    if not block.parents:
        raise InvalidBlock("previous", "the own previous block stands first")
    previous = _get_parent(block.parents[0], store)
    if previous is None:
        return  # Below the floor: check_parents has seen to that.
    if previous.author != block.author or previous.round != block.previous_round:
        raise _blame((previous,), "previous", "the own previous block stands first, with its round")


def _check_first(block: Block, store: BlockStore) -> None:
    before = block.predecessor
    if before is not None and not store.is_below_floor(before):
        previous, why = store.find(before), "the author has an earlier block in this epoch"
        if previous is not None:
            raise _blame((previous,), "previous", why)
        if store.is_inert(before.id):
            release = Release(lamport=before.lamport, vertex_id=before.id)
            raise InvalidBlock("previous", why, release=release)
    for parent in _get_parents(block, store):
        if parent.author == block.author:
            raise _blame((parent,), "previous", "the own previous block stands first")


def check_quorum(block: Block, store: BlockStore) -> None:
    """Parents of the round below hold a quorum of stake; round 1 stands on all of genesis."""
    below = block.round - 1
    if below <= store.floor:
        return  # Genesis, or forgotten, which counts as present.
    parents = list(_get_parents(block, store))
    if GENESIS_ROUND < below - 1 <= store.floor and len(parents) < len(block.parents):
        return  # Some of the first round above the floor may be forgotten too, by their lamport.
    authors = 0
    for parent in parents:
        if parent.round == below:
            authors |= 1 << parent.author
    stake, quorum = store.committee.weigh(authors), store.committee.thresholds.quorum
    if stake < quorum:
        release = Release(
            round=max(below - 1, store.floor + 1),
            lamport=min((parent.ref.lamport for parent in parents), default=COUNTER_MAX),
        )
        raise InvalidBlock(
            "quorum", f"parents of round {below} hold {stake} of {quorum}", release=release
        )


def check_payload(
    block: Block, store: BlockStore, index: PayloadIndex, ordered: Iterable[bytes] = ()
) -> None:
    """Lane-0 parents are lane-0 vertices, and what they newly cover is bounded.

    `ordered` names the leaders whose histories earlier epochs put out: genesis covers those.
    """
    if not block.payload:
        return
    for ref in block.payload:
        entry = index.get(ref.id)
        if entry is not None and entry.lane != LANE_SPEECH and ref.lamport > store.speech_lamport:
            release = Release(speech_lamport=ref.lamport)
            raise InvalidBlock(
                "payload", "only lane-0 vertices follow the block parents", release=release
            )
    round_ = block.round
    covered = collect_covered(block.payload, round_, block.parents, store, index, ordered=ordered)
    count = size_bytes = 0
    for ref in reversed(covered):
        entry = index.get(ref.id)
        count, size_bytes = count + 1, size_bytes + (0 if entry is None else entry.size_bytes)
        if count > COVERED_COUNT_MAX or size_bytes > COVERED_BYTES_MAX:
            raise InvalidBlock(
                "coverage",
                f"more than {COVERED_COUNT_MAX} new vertices or {COVERED_BYTES_MAX} new bytes",
                release=Release(round=get_last_round(round_), speech_lamport=ref.lamport),
            )


def judge_bytes(signed: SignedVertex, network: bytes, committee: Committee) -> Block:
    """Read a vertex as a block, by its own bytes. Raises `InvalidBlock` naming the rule."""
    author = check_vertex(signed.vertex, network, committee)
    body = read_body(signed.vertex.body)
    check_epoch(body, committee)
    check_round(body)
    check_votes(body)
    block = read_block(signed, body, author)
    check_size(block, committee)
    check_genesis(block, committee)
    return block


def judge_ancestors(
    block: Block, store: BlockStore, index: PayloadIndex, ordered: Sequence[bytes] = ()
) -> None:
    """Check a block against what it stands on. Raises `InvalidBlock` naming the rule.

    Each rule only ever falls away as the floor rises, so every node comes to the same answer, some
    sooner: the error says when to ask again.
    """
    check_last_leader(block, ordered)
    check_age(block, store)
    check_parents(block, store)
    check_rounds(block, store)
    check_authors(block, store)
    check_previous(block, store)
    check_quorum(block, store)
    check_payload(block, store, index, ordered)


def _get_parent(ref: Ref, store: BlockStore) -> Block | None:
    """A parent that is held and above the floor in both ways; the others break no rule."""
    return None if ref.lamport <= store.floor_lamport else store.find(ref)


def _get_parents(block: Block, store: BlockStore) -> Iterable[Block]:
    found = (_get_parent(ref, store) for ref in block.parents)
    return (parent for parent in found if parent is not None)


def _blame(parents: Sequence[Block], rule: str, message: str) -> InvalidBlock:
    """The breach of a rule through these parents, until one of them is below the floor."""
    release = Release(
        round=min(parent.round for parent in parents),
        lamport=min(parent.ref.lamport for parent in parents),
    )
    return InvalidBlock(rule, message, release=release)
