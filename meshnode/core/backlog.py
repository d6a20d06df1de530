"""What was said and is not ordered yet: lane-0 vertices that no commit has put out.

A forked author can hand every peer different vertices, and who is no member any more has nothing to
say that counts. So their vertices on which nobody else built wait apart: this node's blocks do not
name them, and they keep no mesh awake. Where another member's block names them, a commit puts them
out like any other.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dag.authors import AuthorRegistry
    from dag.index import Entry, Index
    from dag.types import Ref
    from dag.vertex import SignedVertex


class Backlog:
    """Lane-0 vertices in order of admission, from admission to output."""

    def __init__(self, index: Index, authors: AuthorRegistry) -> None:
        self._index = index
        self._authors = authors
        self._content: dict[bytes, SignedVertex] = {}
        self._waiting: dict[bytes, Ref] = {}
        self._loose: dict[bytes, Ref] = {}
        self._avoided_count = authors.avoided_count

    def __len__(self) -> int:
        return len(self._waiting)

    def list_left(self, seen: Iterable[Ref], *, count_max: int) -> list[Ref]:
        """What blocks have to put in order and none of `seen` covers, as it was admitted.

        The work is bounded by what is under `seen` and by `count_max`, however much waits.
        """
        self._follow_avoided()
        covered = self._collect_covered(seen)
        left = (ref for key, ref in self._waiting.items() if key not in covered)
        return list(islice(left, count_max))

    def _collect_covered(self, seen: Iterable[Ref]) -> dict[bytes, None]:
        covered: dict[bytes, None] = {}
        stack = [ref.id for ref in seen]
        while stack:
            vertex_id = stack.pop()
            entry = self._index.get(vertex_id)
            is_ordered = vertex_id not in self._waiting and vertex_id not in self._loose
            if entry is None or is_ordered or vertex_id in covered:
                continue
            covered[vertex_id] = None
            stack.extend(ref.id for ref in entry.parents)
        return covered

    def add(self, signed: SignedVertex) -> None:
        """A lane-0 vertex was admitted."""
        entry = self._index.get(signed.id)
        assert entry is not None, "what was admitted is in the index"
        self._content[signed.id] = signed
        self._follow_avoided()
        self._place(entry)

    def _follow_avoided(self) -> None:
        count = self._authors.avoided_count
        if count != self._avoided_count:
            self._avoided_count = count
            refs = sorted((*self._waiting.values(), *self._loose.values()))
            self._waiting.clear()
            self._loose.clear()
            for ref in refs:
                entry = self._index.get(ref.id)
                if entry is not None:
                    self._place(entry)

    def _place(self, entry: Entry) -> None:
        if self._authors.is_avoided(entry.author):
            self._loose[entry.ref.id] = entry.ref
            return
        self._waiting[entry.ref.id] = entry.ref
        stack = [entry] if self._loose else []
        while stack:
            for ref in stack.pop().parents:
                parent = self._index.get(ref.id)
                if self._loose.pop(ref.id, None) is not None and parent is not None:
                    self._waiting[ref.id] = ref
                    stack.append(parent)

    def take(self, refs: Iterable[Ref]) -> tuple[SignedVertex, ...]:
        """A commit puts these out; answers the lane-0 vertices among them."""
        content = []
        for ref in refs:
            self._waiting.pop(ref.id, None)
            self._loose.pop(ref.id, None)
            signed = self._content.pop(ref.id, None)
            if signed is not None:
                content.append(signed)
        return tuple(content)

    def drop(self, horizon: int) -> list[SignedVertex]:
        """What lies at or below the horizon of the order is never put out; answers what that is."""
        dropped = []
        for group in (self._waiting, self._loose):
            for ref in [ref for ref in group.values() if ref.lamport <= horizon]:
                del group[ref.id]
                dropped.append(self._content.pop(ref.id))
        return sorted(dropped, key=lambda signed: signed.ref)
