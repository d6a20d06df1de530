"""The ends of the DAG: they determine the whole store, and new vertices stand on them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from typing import Final, Protocol

from dag.canonical import compute_digest
from dag.index import Entry, Index
from dag.types import LANE_BLOCKS, LANE_SPEECH, SPEECH_PARENTS_MAX, Ref

HEADS_DOMAIN: Final = b"meshnode/heads/1"


class Authors(Protocol):
    """Tells whose vertices are left out of digests as long as nobody else has built on them."""

    @property
    def has_uncounted(self) -> bool:
        """Whether there is any such author."""

    def is_uncounted(self, author: bytes) -> bool:
        """Whether this is one: it forked, is no member any more, or is a newcomer."""


class _Ends:
    """Refs by id, and in ascending order: there may be as many as there are authors."""

    __slots__ = ("_by_id", "order")

    def __init__(self) -> None:
        self._by_id: dict[bytes, Ref] = {}
        self.order: list[Ref] = []

    def replace(self, parents: Iterable[Ref], ref: Ref) -> None:
        """Put a vertex in the place of its parents."""
        for parent in parents:
            if self._by_id.get(parent.id) == parent:
                del self._by_id[parent.id]
                del self.order[bisect_left(self.order, parent)]
        if ref.id not in self._by_id:
            self._by_id[ref.id] = ref
            insort(self.order, ref)


class Heads:
    """The heads of both lanes together, and those of lane 0 alone, kept up incrementally.

    An author has at most one head per lane unless it forked, so authors bound their number.
    """

    def __init__(self) -> None:
        self._all = _Ends()
        self._speech = _Ends()

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Vertices without a child in either lane, ascending."""
        return tuple(self._all.order)

    @property
    def speech_refs(self) -> tuple[Ref, ...]:
        """Lane-0 vertices without a child in lane 0, ascending."""
        return tuple(self._speech.order)

    def add(self, entry: Entry) -> None:
        """Follow an admission; children come after their parents."""
        if entry.lane == LANE_SPEECH:
            self._speech.replace(entry.parents, entry.ref)
        elif not entry.counts:
            return
        self._all.replace(entry.parents, entry.ref)

    def restore(self, index: Index, passed: Iterable[Entry]) -> None:
        """Blocks have passed the horizon: what they alone stood on has no child that counts."""
        for entry in passed:
            for ref in entry.parents if entry.lane == LANE_BLOCKS else ():
                parent = index.get(ref.id)
                if parent is None or parent.ref != ref or not parent.counts:
                    continue
                if not parent.children:
                    self._all.replace((), ref)

    def select_parents(
        self,
        own_previous: Ref | None,
        *,
        knowledge: Iterable[Ref] = (),
        exclude: Iterable[bytes] = (),
        above: int = 0,
        count_max: int = SPEECH_PARENTS_MAX,
    ) -> tuple[Ref, ...]:
        """Parents of a new lane-0 vertex: own previous first, then the others ascending.

        `knowledge` must be among them, and so must the head of highest lamport; the places left go
        to the oldest heads, so that every head is taken up in time. `exclude` names heads nobody
        should stand on (those of authors who forked or are out); heads at or below the lamport `above` are too old
        to be ordered any more, and none are chosen.
        """
        excluded = dict.fromkeys(exclude)
        own = () if own_previous is None else (own_previous,)
        chosen = {ref.id: ref for ref in (*own, *knowledge)}
        heads = self._speech.order
        heads = heads[bisect_right(heads, above, key=_get_lamport) :]
        candidates = [ref for ref in heads if ref.id not in excluded]
        for ref in (*candidates[-1:], *candidates):
            if len(chosen) >= count_max:
                break
            chosen.setdefault(ref.id, ref)
        others = [ref for ref in chosen.values() if ref != own_previous]
        assert len(chosen) <= count_max, "knowledge leaves room for own previous and a head"
        return (*own, *sorted(others))

    def collect_digest_refs(self, index: Index, authors: Authors) -> tuple[Ref, ...]:
        """The heads that honest peers with equal knowledge agree on, ascending.

        A forked author can hand every peer different vertices; what those who are no members any
        more say, and newcomers, is not taken everywhere. So their vertices on which nobody else
        built are left out, and what they alone referenced counts as a head again. Heads at or
        below the horizon of their lane are left out: whoever lacks them will never get them.
        """
        if not authors.has_uncounted:
            held = (index.get(ref.id) for ref in self._all.order)
            return tuple([entry.ref for entry in held if entry is not None and entry.counts])
        refs: list[Ref] = []
        uncovered: dict[bytes, int] = {}
        queue = list(self._all.order)
        while queue:
            ref = queue.pop()
            entry = index.get(ref.id)
            if entry is None or not entry.counts:
                continue
            if not authors.is_uncounted(entry.author):
                refs.append(entry.ref)
                continue
            for parent_ref in entry.parents:
                parent = index.get(parent_ref.id)
                if parent is None or parent.ref != parent_ref or not parent.counts:
                    continue
                count = uncovered.get(parent_ref.id, 0) + 1
                uncovered[parent_ref.id] = count
                if count == parent.children:
                    queue.append(parent_ref)
        return tuple(sorted(refs))


def _get_lamport(ref: Ref) -> int:
    return ref.lamport


def compute_heads_digest(refs: Iterable[Ref]) -> bytes:
    """Digest of a set of heads, whatever order they come in: ids joined, ascending by ref."""
    return compute_digest(HEADS_DOMAIN, b"".join([ref.id for ref in sorted(refs)]))


def compute_lamport(parents: Iterable[Ref]) -> int:
    """The lamport of a vertex with these parents."""
    return 1 + max((ref.lamport for ref in parents), default=0)
