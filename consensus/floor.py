"""The floor of blocks: what lies at or below it is never needed again, by anybody.

Blocks are kept for some rounds below the horizon, so that a late block is still judged by what it
stands on. The floor is the round where that ends. Vertices are put away by lamport, so the floor
has a lamport as well: the highest at or below which no block is needed. Lane 0 has a floor of its
own, the payload's horizon: lamports of blocks grow faster than those of what blocks put in order,
so one lamport for both would keep blocks for ever longer.

Why the lamport is right. Let L be the lowest lamport among the blocks of round floor + 1 that
commits put out. The first committed leader of a round above put out all of that round in its
history, a quorum. Any valid block above has a quorum of that round in its history too. Two quorums
share an honest author, whose one block of that round lies below both: so every block above round
floor + 1 has a lamport above L. While the floor is genesis, blocks of round 1 may still come; a rule
of blocks holds those above the lamport that their epoch started with, and the floor stays there.

No rule of a block that can still be put out looks further down: see `consensus.coverage`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from consensus.block import GENESIS_ROUND, Block

RETAINED_ROUNDS: Final = 60
"""Rounds below the horizon that are kept, so that a late block is still judged by its parents."""


class FloorState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A floor as a value; the default is that of a network's first epoch."""

    round: int = GENESIS_ROUND
    lamport: int = 0
    lowest: tuple[tuple[int, int], ...] = ()
    """Rounds above the floor, ascending, each with the lowest lamport that was put out of it."""


class Floor:
    """Follows the commits of one epoch; it never goes down."""

    def __init__(self, start: FloorState) -> None:
        self._round = start.round
        self._lamport = start.lamport
        self._lowest = dict(start.lowest)

    @property
    def round(self) -> int:
        """Blocks of this round and below are not held; as parents they count as present."""
        return self._round

    @property
    def lamport(self) -> int:
        """The same by lamport."""
        return self._lamport

    def advance(self, blocks: Iterable[Block], *, horizon: int) -> bool:
        """Follow a commit, by the blocks it put out and the horizon behind it.

        Answers whether the floor rose.
        """
        lowest = self._lowest
        for block in blocks:
            lamport = block.ref.lamport
            lowest[block.round] = min(lowest.get(block.round, lamport), lamport)
        before = self._round, self._lamport
        self._round = max(self._round, horizon - RETAINED_ROUNDS)
        if self._round > before[0]:
            for round_ in [round_ for round_ in lowest if round_ <= self._round]:
                del lowest[round_]
        if self._round > GENESIS_ROUND and self._round + 1 in lowest:
            self._lamport = max(self._lamport, lowest[self._round + 1] - 1)
        return (self._round, self._lamport) != before

    def freeze(self) -> FloorState:
        """The floor as a value."""
        return FloorState(self._round, self._lamport, tuple(sorted(self._lowest.items())))
