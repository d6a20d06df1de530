"""Whether a figure grows: a straight line through samples, and how sure its slope is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean


@dataclass(frozen=True)
class Trend:
    """The slope of a least-squares line, per unit of time, and its standard error.

    The error takes the distances from the line as independent. Where the figure moves in steps, as
    memory does, it is too small; the line through a few such steps says little whatever it is.
    """

    slope: float
    error: float
    samples: int

    def exceeds(self, limit: float) -> bool:
        """Whether the slope is above a limit beyond doubt: by more than two errors."""
        return self.slope - 2 * self.error > limit


def fit_trend(samples: Sequence[tuple[float, float]]) -> Trend:
    """The trend of (time, value) pairs. Raises `ValueError` for fewer than three."""
    if len(samples) < 3:
        raise ValueError(f"{len(samples)} samples give no trend")
    mean_time, mean_value = mean(at for at, _ in samples), mean(value for _, value in samples)
    spread = sum((at - mean_time) ** 2 for at, _ in samples)
    slope = sum((at - mean_time) * (value - mean_value) for at, value in samples) / spread
    left = sum((value - mean_value - slope * (at - mean_time)) ** 2 for at, value in samples)
    return Trend(slope, sqrt(left / (len(samples) - 2) / spread), len(samples))
