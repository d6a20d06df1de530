"""What a store holds, without the bodies: who references whom, by id, slot and order.

The index is ancestor-closed above its horizon: a vertex is added only when each of its parents is
held, or lies at or below the horizon and so counts as present. Lamport numbers grow along every
edge, which makes (lamport, id) a topological order and lets walks stop early.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator
from typing import Final

from dag.ranges import START, RangeIndex, make_lamport_bound
from dag.types import LANE_SPEECH, Ref
from dag.vertex import SignedVertex

Slot = tuple[bytes, int, int]
"""(author, lane, seq)."""


class Entry:
    """One admitted vertex. `children` counts both lanes, `speech_children` lane 0 only."""

    __slots__ = (
        "author",
        "children",
        "kind",
        "lane",
        "parents",
        "position",
        "ref",
        "seq",
        "size_bytes",
        "speech_children",
        "twin",
    )

    def __init__(self, signed: SignedVertex, position: int) -> None:
        vertex = signed.vertex
        self.ref: Final = Ref(vertex.lamport, signed.id)
        self.author: Final = vertex.author
        self.lane: Final = vertex.lane
        self.seq: Final = vertex.seq
        self.kind: Final = vertex.kind
        self.parents: Final = vertex.parents
        self.size_bytes: Final = len(signed.wire)
        self.position: Final = position
        """How many vertices were admitted before this one."""
        self.children = 0
        self.speech_children = 0
        self.twin: Ref | None = None
        """The vertex that was admitted first for this slot, if this one forks it."""

    @property
    def slot(self) -> Slot:
        """(author, lane, seq)."""
        return self.author, self.lane, self.seq

    @property
    def is_head(self) -> bool:
        """Whether it ends the DAG or, in lane 0, what lane 0 has said."""
        return not self.children or (self.lane == LANE_SPEECH and not self.speech_children)


class _Walk:
    """Goes from children to parents, the last admitted first, and keeps wanted from excluded.

    Not by lamport: that of blocks grows faster than that of what they put in order, so a walk would
    lead through every block since the day on which the wanted was said.
    """

    def __init__(self, entries: dict[bytes, Entry], above: int) -> None:
        self._entries = entries
        self._above = above
        self._queue: list[tuple[int, bytes]] = []
        self._wanted: dict[bytes, bool] = {}
        self._found: dict[bytes, Ref] = {}
        self._pending = 0
        """Wanted entries in the queue."""

    def begin(self, vertex_id: bytes, *, want: bool) -> None:
        """Start from a vertex, if it is held; the excluded come first."""
        entry = self._entries.get(vertex_id)
        if entry is not None and entry.ref.lamport > self._above:
            self._reach(entry, want=want)

    def run(self) -> list[Ref]:
        """What is wanted and not excluded."""
        entries, queue, wanted = self._entries, self._queue, self._wanted
        while self._pending:
            _, vertex_id = heapq.heappop(queue)
            entry = entries[vertex_id]
            want = wanted[vertex_id]
            if want:
                self._pending -= 1
                self._found[vertex_id] = entry.ref
            self._spread(entry, want=want)
        return list(self._found.values())

    def _spread(self, entry: Entry, *, want: bool) -> None:
        wanted = self._wanted
        for ref in entry.parents:
            known = wanted.get(ref.id)
            if known is False or known is want:
                continue  # Most are known by now, and there is nothing to be changed.
            parent = self._entries.get(ref.id)
            if parent is None or parent.ref.lamport != ref.lamport or ref.lamport <= self._above:
                continue
            self._reach(parent, want=want)

    def _reach(self, entry: Entry, *, want: bool) -> None:
        vertex_id, wanted = entry.ref.id, self._wanted
        known = wanted.get(vertex_id)
        if known is None:
            wanted[vertex_id] = want
            self._pending += want
        elif known and not want:
            wanted[vertex_id] = False
            if self._found.pop(vertex_id, None) is None:
                self._pending -= 1
                return  # It waits in the queue already.
        else:
            return
        heapq.heappush(self._queue, (-entry.position, vertex_id))


class Index:
    """Every admitted vertex that was not pruned."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._slots: dict[Slot, bytes] = {}
        self._forked_slots: dict[Slot, list[bytes]] = {}
        self._last: dict[tuple[bytes, int], Entry] = {}
        self._lamports: list[int] = []
        self._by_lamport: dict[int, list[bytes]] = {}
        self.ranges: Final = RangeIndex()
        """The same vertices, to compare with another store range by range."""
        self._admitted = 0
        self._horizon = 0
        self._below = 0
        """How many of the vertices held lie at or below the horizon."""
        self._pinned: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._entries

    @property
    def horizon(self) -> int:
        """References at or below this lamport count as present."""
        return self._horizon

    @property
    def admitted(self) -> int:
        """How many vertices were admitted so far, those included that were forgotten since."""
        return self._admitted

    @property
    def count_above(self) -> int:
        """How many vertices are held above the horizon: what stores can be compared by."""
        return len(self._entries) - self._below

    @property
    def lamport_max(self) -> int:
        """The highest lamport held, 0 when empty."""
        return self._lamports[-1] if self._lamports else 0

    def get(self, vertex_id: bytes) -> Entry | None:
        """The entry of an id."""
        return self._entries.get(vertex_id)

    def get_slot(self, author: bytes, lane: int, seq: int) -> tuple[bytes, ...]:
        """Ids held for a slot in order of admission; more than one is a fork."""
        slot = (author, lane, seq)
        forked = self._forked_slots.get(slot)
        if forked is not None:
            return tuple(forked)
        first = self._slots.get(slot)
        return () if first is None else (first,)

    def is_slot_full(self, author: bytes, lane: int, seq: int) -> bool:
        """Whether a slot holds two vertices: enough to prove a fork, and no more enter unneeded."""
        return (author, lane, seq) in self._forked_slots

    def get_last(self, author: bytes, lane: int) -> Entry | None:
        """The entry of highest seq in an author's lane; of a fork, the one admitted first."""
        return self._last.get((author, lane))

    def find_missing(self, refs: Iterable[Ref]) -> tuple[Ref, ...]:
        """The references that are not present, in the order given."""
        entries, horizon = self._entries, self._horizon
        return tuple(ref for ref in refs if ref.id not in entries and ref.lamport > horizon)

    def add(self, signed: SignedVertex) -> Entry:
        """Admit a vertex whose parents are present. The caller has checked everything else."""
        entry = Entry(signed, self._admitted)
        vertex_id, lamport = entry.ref.id, entry.ref.lamport
        entries = self._entries
        assert vertex_id not in entries, "a vertex is admitted once"
        speech = entry.lane == LANE_SPEECH
        for ref in entry.parents:
            parent = entries.get(ref.id)
            if parent is None or parent.ref.lamport != ref.lamport:
                # A false lamport passes below the horizon, and leads nowhere, as it does for those
                # who do not hold what it names.
                assert ref.lamport <= self._horizon, "parents are admitted first"
                continue
            parent.children += 1
            if speech:
                parent.speech_children += 1
        entries[vertex_id] = entry
        self._admitted += 1
        self._below += lamport <= self._horizon
        self.ranges.add(entry.ref)
        bucket = self._by_lamport.get(lamport)
        if bucket is None:
            self._by_lamport[lamport] = [vertex_id]
            insort(self._lamports, lamport)
        else:
            bucket.append(vertex_id)
        self._take_slot(entry)
        return entry

    def _take_slot(self, entry: Entry) -> None:
        slot = entry.slot
        first = self._slots.setdefault(slot, entry.ref.id)
        if first != entry.ref.id:
            entry.twin = self._entries[first].ref
            self._forked_slots.setdefault(slot, [first]).append(entry.ref.id)
        chain = (entry.author, entry.lane)
        last = self._last.get(chain)
        if last is None or entry.seq > last.seq:
            self._last[chain] = entry

    def iterate(self, from_lamport: int = 0) -> Iterator[Entry]:
        """Entries in (lamport, id) order, which is topological. Nothing may be added meanwhile."""
        start = bisect_left(self._lamports, from_lamport)
        for position in range(start, len(self._lamports)):
            for vertex_id in sorted(self._by_lamport[self._lamports[position]]):
                yield self._entries[vertex_id]

    def collect_ancestors(
        self,
        ids: Iterable[bytes],
        *,
        exclude: Iterable[bytes] = (),
        above: int = 0,
        count_max: int | None = None,
    ) -> tuple[Ref, ...]:
        """The vertices `ids` and their ancestors, without `exclude` and theirs, parents first.

        Ids that are not held are passed over, and so is what lies at or below the lamport `above`.
        With `count_max` only the oldest are given, so that what is given can always be admitted by
        whoever holds the excluded.
        """
        walk = _Walk(self._entries, above)
        for group, want in ((exclude, False), (ids, True)):
            for vertex_id in group:
                walk.begin(vertex_id, want=want)
        found = walk.run()
        found.sort()
        return tuple(found if count_max is None else found[:count_max])

    def advance_horizon(self, lamport: int) -> None:
        """Let references at or below `lamport` count as present; it never goes back."""
        if lamport > self._horizon:
            self._horizon = lamport
            self._below = self.ranges.count(START, make_lamport_bound(lamport + 1))

    def pin(self, vertex_id: bytes) -> None:
        """Never prune a vertex that is held."""
        self._pinned[vertex_id] = None

    def is_kept(self, entry: Entry) -> bool:
        """Whether a vertex outlives its age, whatever it says.

        Heads do, because the next vertex stands on them; the last vertex of a lane, because its
        author goes on from it; and what was pinned.
        """
        last = self._last[entry.author, entry.lane]
        return entry.is_head or last is entry or entry.ref.id in self._pinned

    def prune(self, lamport: int, spared: Container[bytes] = ()) -> tuple[bytes, ...]:
        """Forget vertices at or below `lamport` and the horizon; answers their ids, oldest first.

        Some stay, whatever their age: those of `spared`, and see `is_kept`.
        """
        limit = min(lamport, self._horizon)
        pruned: list[bytes] = []
        remaining: list[int] = []
        end = bisect_left(self._lamports, limit + 1)
        for value in self._lamports[:end]:
            kept: list[bytes] = []
            for vertex_id in sorted(self._by_lamport[value]):
                entry = self._entries[vertex_id]
                if vertex_id in spared or self.is_kept(entry):
                    kept.append(vertex_id)
                else:
                    self._forget(entry)
                    pruned.append(vertex_id)
            if kept:
                self._by_lamport[value] = kept
                remaining.append(value)
            else:
                del self._by_lamport[value]
        self._lamports[:end] = remaining
        self._below -= len(pruned)
        return tuple(pruned)

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.ref.id]
        self.ranges.discard(entry.ref)
        forked = self._forked_slots.get(entry.slot)
        if forked is None:
            del self._slots[entry.slot]
            return
        forked.remove(entry.ref.id)
        self._slots[entry.slot] = forked[0]
        if len(forked) == 1:
            del self._forked_slots[entry.slot]
