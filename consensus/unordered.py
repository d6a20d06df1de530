"""Accepted blocks that no committed leader has in its history yet: what is left to be ordered."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.block import Block
from dag.types import Ref


class Unordered:
    """Knows whether any of them carries payload; each block is looked at once."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, Block] = {}
        self._rounds: dict[int, list[bytes]] = {}
        self._carriers = 0

    def __len__(self) -> int:
        return len(self._blocks)

    @property
    def carriers(self) -> int:
        """How many of them name lane-0 vertices."""
        return self._carriers

    def add(self, block: Block) -> None:
        """Take note of an accepted block above the horizon."""
        self._blocks[block.id] = block
        self._rounds.setdefault(block.round, []).append(block.id)
        self._carriers += bool(block.payload)

    def collect_payload(self, tops: Iterable[Block]) -> tuple[Ref, ...]:
        """The lane-0 vertices named by these blocks and by what is still to be ordered below them.

        What a block names that fell below the horizon is not among them: it is to be named again.
        """
        found: dict[Ref, None] = {}
        seen: dict[bytes, None] = {}
        stack = [block.id for block in tops]
        while stack:
            block_id = stack.pop()
            block = self._blocks.get(block_id)
            if block is None or block_id in seen:
                continue
            seen[block_id] = None
            found.update(dict.fromkeys(block.payload))
            stack.extend(ref.id for ref in block.parents)
        return tuple(found)

    def take_history(self, leader: bytes) -> None:
        """Take out a committed leader and everything below it."""
        stack = [leader]
        while stack:
            block = self._take(stack.pop())
            if block is not None:
                stack.extend(ref.id for ref in block.parents)

    def drop_below(self, horizon: int) -> None:
        """Take out what lies at the horizon or below: no commit puts it out any more."""
        for round_ in [round_ for round_ in self._rounds if round_ <= horizon]:
            for block_id in self._rounds.pop(round_):
                self._take(block_id)

    def _take(self, block_id: bytes) -> Block | None:
        block = self._blocks.pop(block_id, None)
        if block is not None:
            self._carriers -= bool(block.payload)
        return block
