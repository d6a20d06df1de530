"""The order of what blocks carry: lane-0 vertices, once each, above their own horizon.

Ordering a block orders all it has seen. Inside a commit, lane-0 vertices are sorted by (lamport,
digest of leader and id): topological, and no author can aim for an early place. The horizon of
commit i is the highest lamport put out up to commit i - `gc_commits`: what lies at or below it and
was not put out never is, and its author publishes again.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from consensus.validity import PayloadIndex
from dag.canonical import compute_digest
from dag.types import Ref

PLACE_DOMAIN: Final = b"meshnode/place/1"


class PayloadOrder:
    """Puts out lane-0 vertices; lives on across epochs."""

    def __init__(self, index: PayloadIndex, *, gc_commits: int) -> None:
        self._index = index
        self._gc_commits = gc_commits
        self._heights: deque[int] = deque()
        self._highest = 0
        self._horizon = 0
        self._seen: dict[int, dict[bytes, None]] = {}

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
        if len(self._heights) > self._gc_commits:
            self._advance(self._heights.popleft())
        return tuple(found)

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
        seen = self._seen.setdefault(ref.lamport, {})
        if ref.id in seen:
            return False
        seen[ref.id] = None
        return True

    def _advance(self, horizon: int) -> None:
        for lamport in range(self._horizon + 1, horizon + 1):
            self._seen.pop(lamport, None)
        self._horizon = max(self._horizon, horizon)
