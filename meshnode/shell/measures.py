"""How a node measures: counts by labels and distributions, bounded, in whole numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES_MAX: Final = 64
"""Distinct values of a label; peers and clients choose some of them, so there must be an end."""
VALUE_CHARS_MAX: Final = 128
OTHER: Final = "other"
"""What every further value counts under."""


class Tally:
    """A counter by the values of its labels; those past the bound count as `other`."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._known: dict[int, dict[str, None]] = {}

    def add(self, *values: str, amount: int = 1) -> None:
        """Count."""
        self._counts[tuple(self._bound(n, value) for n, value in enumerate(values))] += amount

    def list_counts(self) -> list[tuple[tuple[str, ...], int]]:
        """Every combination of values, in order, and its count."""
        return sorted(self._counts.items())

    def _bound(self, position: int, value: str) -> str:
        known, shown = self._known.setdefault(position, {}), clip_value(value)
        if shown not in known and len(known) >= VALUES_MAX:
            return OTHER
        known[shown] = None
        return shown


def clip_value(value: str) -> str:
    """A label's value that any format can carry."""
    return value[:VALUE_CHARS_MAX].encode("utf-8", "replace").decode()


class Spread(NamedTuple):
    """A distribution at one moment."""

    bounds_ms: tuple[int, ...]
    counts: tuple[int, ...]
    """Up to each bound, and last everything."""
    sum_ms: int


class Distribution:
    """Durations in buckets."""

    def __init__(self, bounds_ms: Sequence[int]) -> None:
        """Each bucket holds what is at most its bound; a last one holds the rest."""
        assert list(bounds_ms) == sorted(set(bounds_ms)), "bounds ascend"
        self._bounds_ms = tuple(bounds_ms)
        self._buckets = [0] * (len(bounds_ms) + 1)
        self._sum_ms = 0

    def observe(self, duration_ms: int) -> None:
        """Take a duration in; a negative one, from a clock set back, counts as none."""
        duration_ms = max(0, duration_ms)
        self._buckets[bisect_left(self._bounds_ms, duration_ms)] += 1
        self._sum_ms += duration_ms

    def read(self) -> Spread:
        """As it is now."""
        total, counts = 0, []
        for bucket in self._buckets:
            total += bucket
            counts.append(total)
        return Spread(self._bounds_ms, tuple(counts), self._sum_ms)
