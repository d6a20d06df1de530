"""The order of what blocks carry: lane-0 vertices, once each, above their own horizon.

Ordering a block orders all it has seen. Inside a commit, lane-0 vertices are sorted by (lamport,
digest of leader and id): topological, and no author can aim for an early place. The horizon of
commit i is the highest lamport put out up to commit i - `gc_commits`: what lies at or below it and
was not put out never is, and its author publishes again.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Final

import msgspec

from consensus.coverage import PayloadIndex
from consensus.packing import pack_ids, unpack_ids
from dag.canonical import compute_digest
from dag.types import Ref

GC_COMMITS: Final = 1_000
PLACE_DOMAIN: Final = b"meshnode/place/1"


class PayloadState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What has been put out, as far as the next commits depend on it."""

    gc_commits: int
    heights: tuple[int, ...] = ()
    """The highest lamport put out up to each of the last commits, ascending."""
    highest: int = 0
    horizon: int = 0
    seen: tuple[tuple[int, bytes], ...] = ()
    """Lamports above the horizon, ascending, each with the ids put out of it."""


class PayloadOrder:
    """Puts out lane-0 vertices; lives on across epochs."""

    def __init__(
        self,
        index: PayloadIndex,
        *,
        gc_commits: int = GC_COMMITS,
        start: PayloadState | None = None,
    ) -> None:
        """Begin, or go on from a state: then it says what `gc_commits` is."""
        start = start or PayloadState(gc_commits)
        self._index = index
        self._gc_commits = start.gc_commits
        self._heights = deque(start.heights)
        self._highest = start.highest
        self._horizon = start.horizon
        self._seen = {lamport: dict.fromkeys(unpack_ids(ids)) for lamport, ids in start.seen}
        self._lamports = list(self._seen)
        """The keys of `_seen`, as a heap: a hostile lamport may leave a gap of any size."""

    @property
    def horizon(self) -> int:
        """Vertices of this lamport and below are not put out by the next commit."""
        return self._horizon

    def commit(self, leader: bytes, heads: tuple[Ref, ...]) -> tuple[Ref, ...]:
        """Put out the heads that a commit names and what is new below them."""
        found = self._collect(heads)
        found.sort(key=lambda ref: (ref.lamport, compute_digest(PLACE_DOMAIN, leader + ref.id)))
        if found:
            self._highest = max(self._highest, found[-1].lamport)
        self._heights.append(self._highest)
        self._advance()
        return tuple(found)

    def set_gc_commits(self, gc_commits: int) -> None:
        """Change the depth of the horizon between two commits, the same two at every node.

        A smaller one raises the horizon at once; a larger one holds it until it is that deep.
        """
        self._gc_commits = gc_commits
        self._advance()

    def freeze(self) -> PayloadState:
        """What has been put out, as a value: the same at every node after the same commits."""
        return PayloadState(
            self._gc_commits,
            tuple(self._heights),
            self._highest,
            self._horizon,
            tuple((lamport, pack_ids(self._seen[lamport])) for lamport in sorted(self._seen)),
        )

    def is_settled(self, ref: Ref) -> bool:
        """Whether a vertex was put out, or never will be."""
        return ref.lamport <= self._horizon or ref.id in self._seen.get(ref.lamport, {})

    def _collect(self, heads: tuple[Ref, ...]) -> list[Ref]:
        found: list[Ref] = []
        stack = [ref for ref in heads if self._mark(ref)]
        while stack:
            ref = stack.pop()
            entry = self._index.get(ref.id)
            found.append(ref)
            if entry is not None:
                stack.extend(parent for parent in entry.parents if self._mark(parent))
        return found

    def _mark(self, ref: Ref) -> bool:
        if ref.lamport <= self._horizon:
            return False
        seen = self._seen.get(ref.lamport)
        if seen is None:
            seen = self._seen[ref.lamport] = {}
            heapq.heappush(self._lamports, ref.lamport)
        elif ref.id in seen:
            return False
        seen[ref.id] = None
        return True

    def _advance(self) -> None:
        while len(self._heights) > self._gc_commits:
            self._horizon = self._heights.popleft()
        while self._lamports and self._lamports[0] <= self._horizon:
            del self._seen[heapq.heappop(self._lamports)]
