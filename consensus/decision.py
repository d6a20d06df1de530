"""How one leader slot is decided, by the DAG alone.

For a slot of round r, blocks of round r + 1 vote, and those of the decision round certify: r + 2 at
wave 3, where one block's own parents must hold a certificate's stake of votes, r + 1 at wave 2,
where a vote certifies. A block of a later round that references the leader's block late is no vote.

Directly: a slot is skipped once, for every block known in it, authors that do not vote for it hold
the skip threshold; a block is committed once authors of certificates for it hold the commit
threshold. Indirectly: a committed block of a round behind the decision round is the anchor, and
what it certifies in its own history is committed, else the slot is skipped. The test is
reachability from the anchor, never presence in a store.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from consensus.block import Block
from consensus.block_store import BlockStore, Node
from consensus.errors import BrokenFaultBound


class Status(StrEnum):
    """What is known of a slot."""

    COMMIT = "commit"
    SKIP = "skip"
    UNDECIDED = "undecided"


class Slot(NamedTuple):
    """A leader slot: they are ordered by round, then by offset inside the round."""

    round: int
    offset: int


class Decision(msgspec.Struct, frozen=True):
    """What became of a slot, and how."""

    slot: Slot
    author: int
    status: Status
    block: Block | None = None
    """The committed block."""
    anchor: Block | None = None
    """The block that decided it, where it was decided indirectly."""


def decide_directly(store: BlockStore, slot: Slot, author: int) -> Decision | None:
    """Decide a slot by the two rounds above it; None while they do not.

    Raises `BrokenFaultBound` if it is decided two ways.
    """
    candidates = store.get_slot(slot.round, author)
    limit = store.committee.thresholds.commit
    committed = [
        candidate.block
        for candidate in candidates
        if store.committee.weigh(store.collect_certifiers(candidate)) >= limit
    ]
    skipped = is_skipped(store, slot.round, candidates)
    if len(committed) + skipped > 1:
        raise BrokenFaultBound(slot.round, tuple(block.id for block in committed))
    if skipped:
        return Decision(slot, author, Status.SKIP)
    return Decision(slot, author, Status.COMMIT, committed[0]) if committed else None


def is_skipped(store: BlockStore, round_: int, candidates: Sequence[Node]) -> bool:
    """Whether for every block known in a slot of a round, enough authors do not vote for it."""
    committee = store.committee
    limit = committee.thresholds.skip
    # The voters of a round bound the blamers of each candidate: most slots end here.
    if committee.weigh(store.get_authors(round_ + 1)) < limit:
        return False
    return all(
        committee.weigh(store.collect_blamers(candidate)) >= limit for candidate in candidates
    )


def decide_by_anchor(store: BlockStore, slot: Slot, author: int, anchor: Block) -> Decision:
    """Decide a slot by what a committed block has in its history."""
    linked = _find_linked(store, slot, author, anchor)
    status = Status.SKIP if linked is None else Status.COMMIT
    return Decision(slot, author, status, linked, anchor)


def _find_linked(store: BlockStore, slot: Slot, author: int, anchor: Block) -> Block | None:
    candidates = store.get_slot(slot.round, author)
    top = store.get_node(anchor.id)
    if not candidates or top is None:
        return None
    committee = store.committee
    limits = committee.thresholds
    seen = store.collect_history(top, slot.round + limits.decision_delay)
    linked: list[Block] = []
    for candidate in candidates:
        authors = 0
        for node in seen:
            if not authors & node.bit and store.certifies(node, candidate):
                authors |= node.bit
        if committee.weigh(authors) >= limits.link:
            linked.append(candidate.block)
    # Only at wave 2 can twins both pass. The choice must be a function of the DAG.
    if len(linked) > 1 and limits.tie == "skip":
        return None
    return linked[0] if linked else None
