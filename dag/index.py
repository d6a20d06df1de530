"""What a store holds, without the bodies: who references whom, by id, slot and order.

The index is ancestor-closed above its horizon: a vertex is added only when each of its parents is
held, or lies at or below the horizon and so counts as present. Lamport numbers grow along every
edge, which makes (lamport, id) a topological order and lets walks stop early.

Each lane has its own horizon, for lamports of blocks grow faster than those of what they put in
order. A reference does not say which lane it leads to, so the vertex that makes it does: its first
parents are named as blocks, the others as speech. What lies above the horizon of its lane counts: two
stores are compared by it, by its heads and by its ranges.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final

from dag.ranges import RangeIndex
from dag.types import LANE_BLOCKS, LANE_SPEECH, Horizon, Ref
from dag.vertex import SignedVertex, Vertex

Slot = tuple[bytes, int, int]
"""(author, lane, seq)."""
CountBlocks = Callable[[Vertex], int]
"""How many of the first parents of a lane-1 vertex it names as blocks, by its own bytes."""
NOWHERE: Final = Horizon()


def count_previous(vertex: Vertex) -> int:
    """The least that any lane-1 vertex names as blocks: its predecessor."""
    return min(vertex.seq, 1)


class Entry:
    """One admitted vertex.

    `speech_children` counts those in lane 0, `children` those in both lanes that count.
    """

    __slots__ = (
        "author",
        "children",
        "counts",
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
        self.counts = True
        """Whether it lies above the horizon of its lane."""
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

    def __init__(
        self, entries: dict[bytes, Entry], above: Horizon, through: Callable[[Ref], bool] | None
    ) -> None:
        self._entries = entries
        self._above = (above.speech, above.blocks)
        self._through = through
        self._queue: list[tuple[int, bytes]] = []
        self._wanted: dict[bytes, bool] = {}
        self._found: dict[bytes, Ref] = {}
        self._pending = 0
        """Wanted entries in the queue."""

    def begin(self, vertex_id: bytes, *, want: bool) -> None:
        """Start from a vertex, if it is held; the excluded come first."""
        entry = self._entries.get(vertex_id)
        if entry is not None and self._passes(entry):
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

    def _passes(self, entry: Entry) -> bool:
        if entry.ref.lamport <= self._above[entry.lane]:
            return False
        return self._through is None or entry.lane == LANE_SPEECH or self._through(entry.ref)

    def _spread(self, entry: Entry, *, want: bool) -> None:
        wanted = self._wanted
        for ref in entry.parents:
            known = wanted.get(ref.id)
            if known is False or known is want:
                continue  # Most are known by now, and there is nothing to be changed.
            parent = self._entries.get(ref.id)
            if parent is None or parent.ref.lamport != ref.lamport or not self._passes(parent):
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

    def __init__(self, count_blocks: CountBlocks = count_previous) -> None:
        self._count_blocks = count_blocks
        self._entries: dict[bytes, Entry] = {}
        self._slots: dict[Slot, bytes] = {}
        self._forked_slots: dict[Slot, list[bytes]] = {}
        self._last: dict[tuple[bytes, int], Entry] = {}
        self._lamports: list[int] = []
        self._by_lamport: dict[int, list[bytes]] = {}
        self.ranges: Final = RangeIndex()
        """Those that count, to compare with another store range by range."""
        self.old_ranges: Final = RangeIndex()
        """The others: they are found here by what a range names them by."""
        self._admitted = 0
        self._horizon = NOWHERE
        self._pinned: dict[bytes, None] = {}
        self._misnamed: dict[bytes, None] = {}
        """Lane-1 vertices that another one names as speech: it needs them as long as if they were."""

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, vertex_id: object) -> bool:
        return vertex_id in self._entries

    @property
    def horizon(self) -> Horizon:
        """References at or below the lamport of the lane they name count as present."""
        return self._horizon

    def is_below(self, vertex: Vertex) -> bool:
        """Whether a vertex, held or not, lies at or below the horizon of its lane."""
        return vertex.lamport <= self._horizon.get(vertex.lane)

    @property
    def admitted(self) -> int:
        """How many vertices were admitted so far, those included that were forgotten since."""
        return self._admitted

    @property
    def count_above(self) -> int:
        """How many vertices are held above the horizon: what stores can be compared by."""
        return len(self._entries) - len(self.old_ranges)

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

    def find(self, cut: bytes) -> Ref | None:
        """The vertex that a cut reference names, whether it counts or not."""
        return self.ranges.find(cut) or self.old_ranges.find(cut)

    def find_unknown(self, refs: Iterable[Ref]) -> tuple[Ref, ...]:
        """The references to vertices of either lane that are not present, in the order given."""
        entries, lowest = self._entries, self._horizon.lowest
        return tuple(ref for ref in refs if ref.id not in entries and ref.lamport > lowest)

    def find_missing(self, vertex: Vertex) -> tuple[Ref, ...]:
        """The parents of a vertex that are not present, in the order given."""
        absent = self.find_unknown(vertex.parents)
        if not absent:
            return ()
        count = self.count_block_parents(vertex)
        return tuple(
            ref
            for place, ref in enumerate(vertex.parents)
            if ref.id not in self._entries and not self.is_old(ref, place < count)
        )

    def count_block_parents(self, vertex: Vertex) -> int:
        """How many of its first parents a vertex names as blocks."""
        return self._count_blocks(vertex) if vertex.lane == LANE_BLOCKS else 0

    def is_old(self, ref: Ref, is_block: bool) -> bool:  # noqa: FBT001 - of one parent
        """Whether a parent that is named as a block, or as speech, counts as present by its age."""
        return ref.lamport <= (self._horizon.blocks if is_block else self._horizon.speech)

    def add(self, signed: SignedVertex) -> Entry:
        """Admit a vertex whose parents are present. The caller has checked everything else."""
        entry = Entry(signed, self._admitted)
        vertex_id, lamport = entry.ref.id, entry.ref.lamport
        entries = self._entries
        assert vertex_id not in entries, "a vertex is admitted once"
        entry.counts = not self.is_below(signed.vertex)
        self._join_parents(entry, self.count_block_parents(signed.vertex))
        entries[vertex_id] = entry
        self._admitted += 1
        (self.ranges if entry.counts else self.old_ranges).add(entry.ref)
        bucket = self._by_lamport.get(lamport)
        if bucket is None:
            self._by_lamport[lamport] = [vertex_id]
            insort(self._lamports, lamport)
        else:
            bucket.append(vertex_id)
        self._take_slot(entry)
        return entry

    def _join_parents(self, entry: Entry, block_count: int) -> None:
        entries, speech = self._entries, entry.lane == LANE_SPEECH
        for place, ref in enumerate(entry.parents):
            parent = entries.get(ref.id)
            if parent is None or parent.ref.lamport != ref.lamport:
                # A false lamport passes below the horizon, and leads nowhere, as it does for those
                # who do not hold what it names.
                is_old = self.is_old(ref, place < block_count)
                assert is_old or not entry.counts, "parents are admitted first"
                continue
            parent.children += entry.counts or parent.lane == LANE_BLOCKS
            if speech:
                parent.speech_children += 1
            elif parent.lane == LANE_BLOCKS and place >= block_count:
                self._misnamed[ref.id] = None

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
        above: Horizon = NOWHERE,
        through: Callable[[Ref], bool] | None = None,
        count_max: int | None = None,
    ) -> tuple[Ref, ...]:
        """The vertices `ids` and their ancestors, without `exclude` and theirs, parents first.

        Ids that are not held are passed over, and so is what lies at or below the lamport of `above`
        in its lane. With `through` only such blocks are passed, and what leads to them, as it holds for.
        With `count_max` only the oldest are given, so that what is given can always be admitted by
        whoever holds the excluded.
        """
        walk = _Walk(self._entries, above, through)
        for group, want in ((exclude, False), (ids, True)):
            for vertex_id in group:
                walk.begin(vertex_id, want=want)
        found = walk.run()
        found.sort()
        return tuple(found if count_max is None else found[:count_max])

    def advance_horizon(self, horizon: Horizon) -> tuple[Entry, ...]:
        """Let references at or below `horizon` count as present; it never goes back.

        Answers what counts no more, oldest first.
        """
        before = self._horizon
        self._horizon = after = before.join(horizon)
        if after == before:
            return ()
        passed: list[Entry] = []
        start = bisect_left(self._lamports, before.lowest + 1)
        for lamport in self._lamports[start : bisect_left(self._lamports, after.highest + 1)]:
            for vertex_id in sorted(self._by_lamport[lamport]):
                entry = self._entries[vertex_id]
                if entry.counts and lamport <= after.get(entry.lane):
                    self._discount(entry)
                    passed.append(entry)
        return tuple(passed)

    def _discount(self, entry: Entry) -> None:
        """What only old blocks stand on is an end of what counts."""
        entry.counts = False
        self.ranges.discard(entry.ref)
        self.old_ranges.add(entry.ref)
        for ref in entry.parents if entry.lane == LANE_BLOCKS else ():
            parent = self._entries.get(ref.id)
            if parent is not None and parent.ref == ref and parent.lane == LANE_SPEECH:
                parent.children -= parent.counts

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

    def prune(self, horizon: Horizon, spared: Container[bytes] = ()) -> tuple[bytes, ...]:
        """Forget vertices at or below `horizon` and the own; answers their ids, oldest first.

        Some stay, whatever their age: those of `spared`, and see `is_kept`.
        """
        own = self._horizon
        limit = Horizon(min(horizon.speech, own.speech), min(horizon.blocks, own.blocks))
        pruned: list[bytes] = []
        remaining: list[int] = []
        end = bisect_left(self._lamports, limit.highest + 1)
        for value in self._lamports[:end]:
            kept: list[bytes] = []
            for vertex_id in sorted(self._by_lamport[value]):
                entry = self._entries[vertex_id]
                bound = limit.lowest if vertex_id in self._misnamed else limit.get(entry.lane)
                if value > bound or vertex_id in spared or self.is_kept(entry):
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
        return tuple(pruned)

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.ref.id]
        self._misnamed.pop(entry.ref.id, None)
        self.old_ranges.discard(entry.ref)
        forked = self._forked_slots.get(entry.slot)
        if forked is None:
            del self._slots[entry.slot]
            return
        forked.remove(entry.ref.id)
        self._slots[entry.slot] = forked[0]
        if len(forked) == 1:
            del self._forked_slots[entry.slot]
