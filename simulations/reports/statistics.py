"""Statistics of repeated runs: medians with bootstrap intervals, quantiles, paired differences.

The resamples are drawn from a stream that the values themselves seed: equal values have equal
intervals, on every machine and in whatever order they came.
"""

from __future__ import annotations

import hashlib
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 1_000
RESAMPLES_MIN: Final = 200
DRAWS_MAX: Final = 500_000
"""Values drawn for one interval; many values are resampled less often, for they need it less."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and between which bounds it lies with a confidence of 95 %."""

    median: float
    low: float
    high: float
    count: int
    """How many values it rests on."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired runs of two variants: the same seed, so the same luck."""

    difference: Interval
    """Of right minus left."""
    rises: int
    falls: int
    ties: int


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of all lie; between two values by straight line."""
    assert values, "nothing has no quantile"
    assert 0.0 <= share <= 1.0, f"{share} is no share"
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def compute_interval(values: Sequence[float]) -> Interval:
    """The median, and its percentile bootstrap interval."""
    assert values, "nothing has no median"
    ordered = sorted(values)
    median = statistics.median(ordered)
    if ordered[0] == ordered[-1]:
        return Interval(median, median, median, len(ordered))
    digest = hashlib.sha256(repr([float(value) for value in ordered]).encode()).digest()
    stream = random.Random(digest)  # noqa: S311 - resampling, not secrets
    rounds = max(RESAMPLES_MIN, min(RESAMPLES, DRAWS_MAX // len(ordered)))
    medians = [statistics.median(stream.choices(ordered, k=len(ordered))) for _ in range(rounds)]
    tail = (1.0 - CONFIDENCE) / 2
    return Interval(median, quantile(medians, tail), quantile(medians, 1 - tail), len(ordered))


def compare_pairs(left: Mapping[int, float], right: Mapping[int, float]) -> Comparison | None:
    """Compare two variants over the seeds both ran with; None where there is no such seed."""
    differences = [right[seed] - left[seed] for seed in sorted(left) if seed in right]
    if not differences:
        return None
    return Comparison(
        compute_interval(differences),
        rises=sum(difference > 0 for difference in differences),
        falls=sum(difference < 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
    )
