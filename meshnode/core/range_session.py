"""One session of RANGES from the side that asks: which ranges still differ, and what was found.

    session = RangeSession(ranges, number, lower)
    message = session.ask()                # until it answers None
    session.take(answer)                   # answers whether it fits the question
    session.needed, session.lacked         # what to fetch, and what to send

Whatever the other side answers, a session ends: after 8 questions of one frame each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.ranges import (
    END,
    FINGERPRINT_BYTES,
    LEAF_REFS_MAX,
    PARTS_MAX,
    cut_ref,
    split_cut_refs,
)
from meshnode.core.messages import RANGES_ASKED_MAX, Range, Ranges
from meshnode.core.range_answers import ROUNDS_MAX, fingerprint_parts

if TYPE_CHECKING:
    from dag.ranges import RangeIndex
    from dag.types import Ref

FOUND_MAX: Final = 16_384
"""Differences a session notes on either side; the next one finds the others."""

_Span = tuple[bytes, bytes]


class RangeSession:
    """Compares the own ranges with those of one peer."""

    def __init__(self, ranges: RangeIndex, number: int, lower: bytes) -> None:
        self._ranges = ranges
        self.number: Final = number
        self.lower: Final = lower
        self.rounds = 0
        self._open: list[_Span] = [(lower, END)]
        """Ranges that differ as far as is known, ascending."""
        self._asked: list[_Span] = []
        self.needed: dict[bytes, None] = {}
        """Cut references of what only the peer holds."""
        self.lacked: dict[bytes, Ref] = {}
        """What only this side holds, by cut reference."""

    @property
    def is_settled(self) -> bool:
        """Whether all differences were found."""
        return not self._open and not self._asked

    def ask(self) -> Ranges | None:
        """The next question, None when there is none or no more may be asked."""
        assert not self._asked, "one question at a time"
        if not self._open or self.rounds == ROUNDS_MAX:
            return None
        first = self.rounds == 0
        self.rounds += 1
        items: list[Range] = []
        lower = self._open[0][0]
        while self._open and len(items) + PARTS_MAX < RANGES_ASKED_MAX:
            span = self._open.pop(0)
            if items and items[-1].upper < span[0]:
                items.append(Range(span[0], None))
            start = span[0]
            for item in self._describe(span, recent=first):
                items.append(item)
                self._asked.append((start, item.upper))
                start = item.upper
        return Ranges(self.number, False, lower, tuple(items))

    def _describe(self, span: _Span, *, recent: bool) -> list[Range]:
        lower, upper = span
        inner: tuple[bytes, ...] = ()
        if self._ranges.count(lower, upper) > LEAF_REFS_MAX:
            inner = self._ranges.split(lower, upper, recent=recent)
        return fingerprint_parts(self._ranges, lower, (*inner, upper))

    def take(self, answer: Ranges) -> bool:
        """Take an answer; answers whether it is one to the last question."""
        asked, self._asked = self._asked, []
        if not asked or (answer.ranges and answer.lower != asked[0][0]):
            return False
        if not answer.ranges:
            return True
        differing: list[_Span] = []
        lower, number = answer.lower, 0
        for item in answer.ranges:
            span = (lower, item.upper)
            lower = item.upper
            if item.data is None:
                continue
            while number < len(asked) and asked[number][1] <= span[0]:
                number += 1
            if (
                number == len(asked)
                or not asked[number][0] <= span[0] < span[1] <= asked[number][1]
            ):
                return False
            self._compare(span, item.data, differing)
        for start, end in asked:
            if end > lower:
                differing.append((max(start, lower), end))
        self._open = differing + self._open
        return True

    def _compare(self, span: _Span, data: bytes, differing: list[_Span]) -> None:
        if len(data) == FINGERPRINT_BYTES:
            if self._ranges.compute_fingerprint(*span) != data:
                differing.append(span)
            return
        theirs = dict.fromkeys(split_cut_refs(data))
        for name in theirs:
            if len(self.needed) < FOUND_MAX and self._ranges.find(name) is None:
                self.needed[name] = None
        for ref in self._ranges.iterate(*span):
            if len(self.lacked) >= FOUND_MAX:
                break
            name = cut_ref(ref)
            if name not in theirs:
                self.lacked[name] = ref
