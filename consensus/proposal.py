"""What a new block stands on: whether the round below is complete, and which blocks to name.

The leader of the round below must be there to be voted for, and the leader before it must be
settled: a quorum votes for its block, or it can be skipped. A block that names such votes is a
certificate, so what has been seen to be settled stays so in the history of the own next block.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from consensus.block import GENESIS_ROUND, Block
from consensus.block_store import BlockStore, Node
from consensus.committee import iterate_bits
from consensus.decision import is_skipped
from consensus.leader import LeaderSchedule
from dag.types import Ref


class Proposal(msgspec.Struct, frozen=True):
    """A block to be made now."""

    round: int
    previous_round: int
    """Round of the own previous block, 0 for genesis."""
    parents: tuple[Block, ...]
    """Own previous block first, unless that is genesis."""
    references_payload: bool
    """Whether lane-0 heads may follow; empty while the mesh's time is stale."""
    seen: tuple[Ref, ...] = ()
    """Lane-0 heads that the blocks below will put in order: what they cover needs no naming."""


class Tips:
    """Blocks that no block held builds on: under them lies everything, late blocks included."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, Block] = {}

    def add(self, block: Block) -> None:
        """Take note of an accepted block."""
        for ref in block.parents:
            self._blocks.pop(ref.id, None)
        self._blocks[block.id] = block

    def drop_below(self, horizon: int) -> None:
        """Forget what no commit puts out any more."""
        self._blocks = {key: block for key, block in self._blocks.items() if block.round > horizon}

    def list_late(self, round_: int) -> list[Block]:
        """Tips below a round, the latest first."""
        late = [block for block in self._blocks.values() if block.round < round_]
        return sorted(late, key=lambda block: (-block.round, block.author, block.id))


def is_complete(store: BlockStore, schedule: LeaderSchedule, round_: int) -> bool:
    """Whether a block of a round misses nothing by being made now."""
    leaders = schedule.get_leaders(round_ - 1) if round_ - 1 > GENESIS_ROUND else ()
    if not all(store.get_slot(round_ - 1, leader) for leader in leaders):
        return False
    return all(
        _is_settled(store, slot, round_ - 2) for slot in _list_waved(store, schedule, round_)
    )


def choose_parents(
    store: BlockStore,
    schedule: LeaderSchedule,
    tips: Tips,
    round_: int,
    *,
    author: int,
    own: Block | None,
) -> tuple[Block, ...]:
    """One block of each author: of the round below, or else the latest that nobody built on."""
    chosen: dict[int, Block] = {} if own is None else {author: own}
    slots = _list_waved(store, schedule, round_)
    for other in iterate_bits(store.get_authors(round_ - 1) & ~(1 << author)):
        chosen[other] = _pick_twin(store, store.get_slot(round_ - 1, other), slots).block
    for late in tips.list_late(round_ - 1):
        if late.author != author:
            chosen.setdefault(late.author, late)
    return tuple(chosen.values())


def _list_waved(store: BlockStore, schedule: LeaderSchedule, round_: int) -> list[Sequence[Node]]:
    """Slots two rounds below, for which a block of a round is to be a certificate."""
    if store.committee.thresholds.wave == 2 or round_ - 2 <= GENESIS_ROUND:
        return []
    return [store.get_slot(round_ - 2, leader) for leader in schedule.get_leaders(round_ - 2)]


def _is_settled(store: BlockStore, slot: Sequence[Node], round_: int) -> bool:
    return _find_supported(store, slot) is not None or is_skipped(store, round_, slot)


def _find_supported(store: BlockStore, slot: Sequence[Node]) -> Node | None:
    committee = store.committee
    limit = committee.thresholds.certificate
    return next((node for node in slot if committee.weigh(node.voters) >= limit), None)


def _pick_twin(store: BlockStore, twins: Sequence[Node], slots: Sequence[Sequence[Node]]) -> Node:
    """Of an author's blocks of one round, the one that witnesses most of what is settled."""
    if len(twins) == 1:
        return twins[0]
    supported = [_find_supported(store, slot) for slot in slots]

    def count(node: Node) -> int:
        return sum(
            node.votes_for(block) if block else not any(node.votes_for(other) for other in slot)
            for block, slot in zip(supported, slots, strict=True)
        )

    return max(twins, key=count)
