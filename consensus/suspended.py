"""Blocks that break a rule through what they stand on, until the floor makes that rule fall away.

A node that is ahead has a higher floor, looks at less, and may accept a block that others have
found to break a rule. They come to the same answer once their floor is as high: so such blocks are
kept, each under what it waits for, and judged again when that happens, never before.
"""

from __future__ import annotations

import heapq

from consensus.block import Block
from consensus.errors import Release
from dag.types import COUNTER_MAX


class Suspended:
    """Blocks to be judged again, up to the time when they lie below the floor themselves."""

    def __init__(self) -> None:
        self._blocks: dict[bytes, tuple[Block, bytes]] = {}
        """By id, with the vertex that each waits for."""
        self._by_round: list[tuple[int, bytes]] = []
        self._by_lamport: list[tuple[int, bytes]] = []
        self._by_speech: list[tuple[int, bytes]] = []
        self._by_vertex: dict[bytes, dict[bytes, None]] = {}

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, block: Block, release: Release | None) -> None:
        """Keep a block that was judged and broke a rule."""
        release = release or Release()
        self._blocks[block.id] = block, release.vertex_id
        heapq.heappush(self._by_round, (min(release.round, block.round), block.id))
        if release.lamport < COUNTER_MAX:
            heapq.heappush(self._by_lamport, (release.lamport, block.id))
        if release.speech_lamport < COUNTER_MAX:
            heapq.heappush(self._by_speech, (release.speech_lamport, block.id))
        if release.vertex_id:
            self._by_vertex.setdefault(release.vertex_id, {})[block.id] = None

    def take_due(self, round_: int, lamport: int, speech_lamport: int) -> list[Block]:
        """Take out what waits for a floor of this round, or of one of these lamports."""
        due: list[Block] = []
        for heap, reached in (
            (self._by_round, round_),
            (self._by_lamport, lamport),
            (self._by_speech, speech_lamport),
        ):
            while heap and heap[0][0] <= reached:
                self._take(heapq.heappop(heap)[1], due)
        return due

    def take_waiting_for(self, vertex_id: bytes) -> list[Block]:
        """Take out what waits for a vertex, which is a valid block now or counts as present."""
        due: list[Block] = []
        for block_id in tuple(self._by_vertex.get(vertex_id, ())):
            self._take(block_id, due)
        return due

    def _take(self, block_id: bytes, due: list[Block]) -> None:
        # What was taken by one of its conditions still stands in the heap of another.
        block, vertex_id = self._blocks.pop(block_id, (None, b""))
        if block is None:
            return
        due.append(block)
        waiting = self._by_vertex.get(vertex_id)
        if waiting is not None:
            del waiting[block_id]
            if not waiting:
                del self._by_vertex[vertex_id]
