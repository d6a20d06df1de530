"""Ranges of a store, and the fingerprints by which two stores are compared range by range.

Vertices are ordered by key: the lamport in eight bytes and the id. A bound is the beginning of a
key, so that bounds compare with keys, and with each other, as bytes. Between two bounds a store has a
count and a sum of ids modulo 2**256; both are differences of prefix sums, and so cost O(log n)
wherever the range lies and however late its vertices came.

A sum can be forged by whoever makes up ids. Equal fingerprints therefore only spare questions: what
a store is lacking is decided by its heads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Final

from dag.canonical import compute_digest
from dag.types import Ref

RANGES_DOMAIN: Final = b"meshnode/ranges/1"
LAMPORT_BYTES: Final = 8
CUT_ID_BYTES: Final = 16
CUT_REF_BYTES: Final = LAMPORT_BYTES + CUT_ID_BYTES
FINGERPRINT_BYTES: Final = 16
LEAF_REFS_MAX: Final = 32
"""Vertices of a range that are named one by one."""
PARTS_MAX: Final = 16
"""Parts into which a larger range is cut."""
PART_REFS_MIN: Final = LEAF_REFS_MAX // 2
"""Smaller parts are not worth a fingerprint."""
RECENT_PARTS: Final = 4
"""Parts of the smallest size at the new end, where closed stores differ."""
START: Final = b""
"""The bound below all keys."""
END: Final = b"\xff"
"""The bound above all keys: lamports have 63 bits."""
BLOCK_REFS_MAX: Final = 256
_SUM_MODULUS: Final = 1 << 256


def cut_ref(ref: Ref) -> bytes:
    """Name a vertex in 24 bytes: its lamport, and the first half of its id."""
    return ref.lamport.to_bytes(LAMPORT_BYTES, "big") + ref.id[:CUT_ID_BYTES]


def split_cut_refs(data: bytes) -> list[bytes]:
    """Part cut references that were joined."""
    return [data[at : at + CUT_REF_BYTES] for at in range(0, len(data), CUT_REF_BYTES)]


def make_lamport_bound(lamport: int) -> bytes:
    """The bound below all vertices of a lamport."""
    return lamport.to_bytes(LAMPORT_BYTES, "big") if lamport > 0 else START


def _place(bound: bytes) -> Ref:
    """A reference that compares with others as the bound does with their keys."""
    lamport = int.from_bytes(bound[:LAMPORT_BYTES].ljust(LAMPORT_BYTES, b"\x00"), "big")
    return Ref(lamport, bound[LAMPORT_BYTES:])


def _separate(left: Ref, right: Ref) -> bytes:
    """The shortest bound above one vertex and not above the next."""
    if left.lamport < right.lamport:
        return make_lamport_bound(right.lamport)
    low, high = cut_ref(left), cut_ref(right)
    size = LAMPORT_BYTES + 1
    while size < CUT_REF_BYTES and low[:size] == high[:size]:
        size += 1
    return high[:size]


class RangeIndex:
    """The order of all vertices, in blocks with their sums."""

    __slots__ = ("_before", "_blocks", "_firsts", "_sums")

    def __init__(self) -> None:
        self._blocks: list[list[Ref]] = []
        self._firsts: list[Ref] = []
        self._sums: list[int] = []
        self._before: list[tuple[int, int]] = [(0, 0)]
        """(count, sum) of all blocks before a block, for as many as were asked about."""

    def __len__(self) -> int:
        return self.count(START, END)

    def add(self, ref: Ref) -> None:
        """Take a vertex in that is not held."""
        if not self._blocks:
            self._blocks.append([])
            self._firsts.append(ref)
            self._sums.append(0)
        number = len(self._blocks) - 1
        block = self._blocks[number]
        if block and ref > block[-1]:
            block.append(ref)  # most come about in order
        else:
            number = max(0, bisect_right(self._firsts, ref) - 1)
            block = self._blocks[number]
            insort(block, ref)
            self._firsts[number] = block[0]
        self._sums[number] += int.from_bytes(ref.id, "big")
        if len(block) > BLOCK_REFS_MAX:
            self._halve(number)
        del self._before[number + 1 :]

    def _halve(self, number: int) -> None:
        block = self._blocks[number]
        upper = block[len(block) // 2 :]
        del block[len(block) // 2 :]
        moved = _sum_ids(upper)
        self._sums[number] -= moved
        self._blocks.insert(number + 1, upper)
        self._firsts.insert(number + 1, upper[0])
        self._sums.insert(number + 1, moved)

    def discard(self, ref: Ref) -> None:
        """Let a vertex go that is held."""
        number = bisect_right(self._firsts, ref) - 1
        block = self._blocks[number]
        position = bisect_left(block, ref)
        assert block[position] == ref, "only what is held is let go"
        del block[position]
        self._sums[number] -= int.from_bytes(ref.id, "big")
        if block:
            self._firsts[number] = block[0]
        else:
            del self._blocks[number], self._firsts[number], self._sums[number]
        del self._before[number + 1 :]

    def count(self, lower: bytes, upper: bytes) -> int:
        """How many vertices lie from `lower` to below `upper`."""
        return self._rank(upper) - self._rank(lower)

    def compute_fingerprint(self, lower: bytes, upper: bytes) -> bytes:
        """Sixteen bytes that depend on which vertices lie in a range, and on nothing else."""
        count_below, sum_below = self._measure(lower)
        count, total = self._measure(upper)
        total = (total - sum_below) % _SUM_MODULUS
        data = total.to_bytes(32, "big") + (count - count_below).to_bytes(8, "big")
        return compute_digest(RANGES_DOMAIN, data)[:FINGERPRINT_BYTES]

    def iterate(self, lower: bytes, upper: bytes) -> Iterator[Ref]:
        """The vertices of a range, ascending. Nothing may be added or let go meanwhile."""
        number, offset = self._find(lower)
        last, end = self._find(upper)
        for at in range(number, min(last + 1, len(self._blocks))):
            block = self._blocks[at]
            yield from block[offset : end if at == last else len(block)]
            offset = 0

    def find(self, cut: bytes) -> Ref | None:
        """The vertex that a cut reference names; of several the one with the lowest id."""
        number, offset = self._find(cut)
        if number < len(self._blocks) and offset == len(self._blocks[number]):
            number, offset = number + 1, 0
        if number >= len(self._blocks):
            return None
        ref = self._blocks[number][offset]
        return ref if cut_ref(ref) == cut else None

    def split(
        self,
        lower: bytes,
        upper: bytes,
        *,
        parts_max: int = PARTS_MAX,
        recent: bool = False,
    ) -> tuple[bytes, ...]:
        """Cut a range into parts of about equal counts; answers the bounds between them.

        With `recent` the last of 16 parts are of the smallest size.
        """
        start = self._rank(lower)
        count = self._rank(upper) - start
        parts = min(PARTS_MAX, parts_max, -(-count // PART_REFS_MIN))
        ranks = [start + count * number // parts for number in range(1, parts)]
        if recent and parts == PARTS_MAX:
            older = parts - RECENT_PARTS
            rest = count - RECENT_PARTS * PART_REFS_MIN
            ranks = [start + rest * number // older for number in range(1, older + 1)]
            ranks += [ranks[-1] + number * PART_REFS_MIN for number in range(1, RECENT_PARTS)]
        bounds = [_separate(self._get(rank - 1), self._get(rank)) for rank in ranks]
        # Ids with equal halves cannot be parted: then two of these bounds are equal.
        return tuple([bound for bound in dict.fromkeys(bounds) if lower < bound < upper])

    def _find(self, bound: bytes) -> tuple[int, int]:
        """The block in which a bound lies, and how many of its vertices are below."""
        place = _place(bound)
        number = max(0, bisect_left(self._firsts, place) - 1)
        if number >= len(self._blocks):
            return 0, 0
        return number, bisect_left(self._blocks[number], place)

    def _rank(self, bound: bytes) -> int:
        """How many vertices lie below a bound."""
        number, offset = self._find(bound)
        return self._get_before(number)[0] + offset

    def _measure(self, bound: bytes) -> tuple[int, int]:
        """How many vertices lie below a bound, and the sum of their ids."""
        number, offset = self._find(bound)
        count, total = self._get_before(number)
        if not offset:
            return count, total
        block = self._blocks[number]
        if 2 * offset <= len(block):
            total += _sum_ids(block[:offset])
        else:
            total += self._sums[number] - _sum_ids(block[offset:])
        return count + offset, total

    def _get_before(self, number: int) -> tuple[int, int]:
        before = self._before
        while len(before) <= number:
            count, total = before[-1]
            at = len(before) - 1
            before.append((count + len(self._blocks[at]), total + self._sums[at]))
        return before[number]

    def _get(self, rank: int) -> Ref:
        """The vertex that has so many below it."""
        self._get_before(len(self._blocks) - 1)
        number = bisect_right(self._before, rank, key=_get_count) - 1
        return self._blocks[number][rank - self._before[number][0]]


def _sum_ids(refs: list[Ref]) -> int:
    return sum([int.from_bytes(ref.id, "big") for ref in refs])


def _get_count(before: tuple[int, int]) -> int:
    return before[0]
