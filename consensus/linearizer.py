"""From committed leaders to one order of blocks.

Each committed leader puts out what is new in its history: not put out before, and above the
horizon. Of twins the first in the order is put out, over the whole output; the others count as seen
and never are. The horizon comes from the sequence of commits, so it is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from consensus.block import GENESIS_ROUND, Block
from consensus.block_store import BlockStore
from consensus.packing import pack_bits, pack_ids, unpack_bits, unpack_ids
from dag.types import Ref

OrderKey = Callable[[Block, Block], Any]
"""Of the leader and a block, what the block is sorted by. It must tell twins apart."""


class SubDag(msgspec.Struct, frozen=True):
    """What one committed leader adds."""

    leader: Block
    blocks: tuple[Block, ...]
    """In order."""
    payload: tuple[Ref, ...]
    """Lane-0 parents of these blocks and of twins that were passed over, ascending."""
    horizon: int
    """Blocks of this round and below are never put out any more."""


class LinearizerState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What has been put out, as far as the next commits depend on it."""

    last_leader_round: int = GENESIS_ROUND
    rounds: tuple[tuple[int, bytes, bytes], ...] = ()
    """Rounds above the horizon, ascending: the slots put out, and the ids that count as seen."""


def by_round(leader: Block, block: Block) -> tuple[int, int, bytes]:  # noqa: ARG001 - an OrderKey
    """(round, author, id): a topological order in which low positions come first."""
    return block.round, block.author, block.id


class Linearizer:
    """Puts out the blocks of one epoch, each at most once."""

    def __init__(
        self,
        store: BlockStore,
        *,
        gc_depth: int | None,
        order: OrderKey = by_round,
        start: LinearizerState | None = None,
    ) -> None:
        """`gc_depth`: rounds below the last leader that are still put out; None for all."""
        start = start or LinearizerState()
        self._store = store
        self._gc_depth = gc_depth
        self._order = order
        self._last_leader_round = start.last_leader_round
        self._seen: dict[bytes, None] = {}
        self._rounds: dict[int, list[bytes]] = {}
        """What is to be forgotten with a round."""
        self._authors: dict[int, int] = {}
        for round_, authors, ids in start.rounds:
            self._authors[round_] = unpack_bits(authors)
            self._rounds[round_] = unpack_ids(ids)
            self._seen.update(dict.fromkeys(self._rounds[round_]))

    @property
    def horizon(self) -> int:
        """Blocks of this round and below are not put out by the next commit."""
        if self._gc_depth is None:
            return GENESIS_ROUND
        return max(GENESIS_ROUND, self._last_leader_round - self._gc_depth)

    def commit(self, leader: Block) -> SubDag:
        """Put out what a committed leader adds. Leaders come in slot order, each once."""
        horizon = self.horizon
        new = self._collect(leader, horizon)
        new.sort(key=lambda block: self._order(leader, block))
        blocks = tuple(block for block in new if self._take_slot(block))
        payload = dict.fromkeys(ref for block in new for ref in block.payload)
        self._last_leader_round = leader.round
        self._sweep()
        return SubDag(leader, blocks, tuple(sorted(payload)), horizon)

    def freeze(self) -> LinearizerState:
        """What has been put out, as a value: the same at every node after the same commits."""
        rounds = tuple(
            (round_, pack_bits(self._authors[round_]), pack_ids(self._rounds[round_]))
            for round_ in sorted(self._rounds)
        )
        return LinearizerState(self._last_leader_round, rounds)

    def _collect(self, leader: Block, horizon: int) -> list[Block]:
        found: list[Block] = []
        seen = self._seen
        stack = [leader]
        self._mark(leader)
        while stack:
            block = stack.pop()
            found.append(block)
            for ref in block.parents:
                if ref.id in seen:
                    continue
                parent = self._store.find(ref)
                if parent is not None and parent.round > horizon:
                    self._mark(parent)
                    stack.append(parent)
        return found

    def _mark(self, block: Block) -> None:
        self._seen[block.id] = None
        self._rounds.setdefault(block.round, []).append(block.id)

    def _take_slot(self, block: Block) -> bool:
        bit = 1 << block.author
        authors = self._authors.get(block.round, 0)
        self._authors[block.round] = authors | bit
        return not authors & bit

    def _sweep(self) -> None:
        """Forget what lies below the horizon: no walk gets there any more."""
        horizon = self.horizon
        for round_ in [round_ for round_ in self._rounds if round_ <= horizon]:
            for block_id in self._rounds.pop(round_):
                del self._seen[block_id]
            del self._authors[round_]
