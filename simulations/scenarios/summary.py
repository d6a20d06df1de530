"""Many numbers made few: quantiles, bounded samples, and coverage as it grew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from simulations.kernel import NS_PER_MS
from simulations.results import Number

SAMPLES_MAX: Final = 2_000
SERIES_MAX: Final = 200
DIGITS: Final = 6
"""Beyond a nanosecond of a millisecond nothing was measured."""


def to_ms(time_ns: float) -> float:
    """Nanoseconds in milliseconds."""
    return round(time_ns / NS_PER_MS, DIGITS)


def find_quantile(ascending: Sequence[Number], share: float) -> Number:
    """The smallest value that at least this share does not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def thin(ascending: Sequence[Number], most: int = SAMPLES_MAX) -> list[Number]:
    """At most so many of the values, evenly spread over their ranks, both ends among them."""
    if len(ascending) <= most:
        return list(ascending)
    last = len(ascending) - 1
    return [ascending[round(rank * last / (most - 1))] for rank in range(most)]


def summarise_ms(delays_ns: Sequence[int]) -> dict[str, Number]:
    """The usual quantiles of delays in any order, as metrics; none of no delays."""
    if not delays_ns:
        return {}
    ascending = sorted(delays_ns)
    return {
        "p50_ms": to_ms(find_quantile(ascending, 0.5)),
        "p95_ms": to_ms(find_quantile(ascending, 0.95)),
        "p99_ms": to_ms(find_quantile(ascending, 0.99)),
        "max_ms": to_ms(ascending[-1]),
    }


def make_samples_ms(delays_ns: Sequence[int]) -> list[Number]:
    """Delays as a bounded ascending sample."""
    return thin([to_ms(delay_ns) for delay_ns in sorted(delays_ns)])


def trace_coverage(times_ns: Sequence[int], total: int) -> list[tuple[Number, Number]]:
    """The share that had it by a time in ms, where `total` could have had it; from 0 on."""
    points: dict[Number, Number] = {0: 0}
    for place, time_ns in enumerate(sorted(times_ns), 1):
        points[to_ms(time_ns)] = round(place / total, DIGITS)
    times_ms = thin(list(points), SERIES_MAX)
    return [(time_ms, points[time_ms]) for time_ms in times_ms]
