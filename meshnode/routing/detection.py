"""Whether a replica still lives, judged by how regularly it was heard: phi accrual in integers.

Phi is minus the decimal logarithm of the probability that a heartbeat comes this late, were
the delays normally distributed as the last ones: 5 means once in a hundred thousand. Suspicion
only moves a replica to the end of the line. It is taken for dead when others cannot reach it
either; a replica nobody hears vanishes when its report expires.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import isqrt

WINDOW = 100
INTERVAL_MS = 1_000
"""Expected between heartbeats; shorter ones come with answers and are no measure of it."""
DEVIATION_MS_START = 250
DEVIATION_MS_MIN = 100
PAUSE_MS = 1_000
"""A pause of its event loop that is held against nobody."""
WITNESSES = 3
"""Peers that must have failed to reach a replica before it counts as dead."""
_SUSPECT_DEVIATIONS_PERMILLE = 4_265
"""Standard deviations beyond the mean at which phi is 5."""
_SILENT_DEVIATIONS_PERMILLE = 5_612
"""The same for 8."""


class Vitality(IntEnum):
    """How alive a replica seems."""

    ALIVE = 0
    SUSPECT = 1
    SILENT = 2
    """Long enough that others should be asked to reach it."""
    DEAD = 3


class Heartbeats:
    """When one replica was heard, and by whom it was not."""

    __slots__ = ("_heard_ms", "_intervals", "_missed", "_squares", "_total")

    def __init__(self) -> None:
        self._heard_ms: int | None = None
        self._intervals: deque[int] = deque()
        self._total = 0
        self._squares = 0
        self._missed = 0

    def hear(self, now_ms: int) -> None:
        """It was heard, or reached by another peer."""
        if self._heard_ms is not None:
            self._add(max(INTERVAL_MS, now_ms - self._heard_ms))
            now_ms = max(now_ms, self._heard_ms)  # what is told late of is no step back
        self._heard_ms = now_ms
        self._missed = 0

    def miss(self) -> None:
        """Another peer could not reach it."""
        self._missed += 1

    def judge(self, now_ms: int) -> Vitality:
        """How alive it seems now; who was never heard is not judged."""
        if self._heard_ms is None:
            return Vitality.ALIVE
        late_ms = now_ms - self._heard_ms - PAUSE_MS - INTERVAL_MS
        if late_ms <= 0:
            return Vitality.ALIVE
        mean_ms, deviation_ms = self._fit()
        late_permille = (late_ms + INTERVAL_MS - mean_ms) * 1_000
        if late_permille < _SUSPECT_DEVIATIONS_PERMILLE * deviation_ms:
            return Vitality.ALIVE
        if late_permille < _SILENT_DEVIATIONS_PERMILLE * deviation_ms:
            return Vitality.SUSPECT
        return Vitality.DEAD if self._missed >= WITNESSES else Vitality.SILENT

    def _add(self, interval_ms: int) -> None:
        self._intervals.append(interval_ms)
        self._total += interval_ms
        self._squares += interval_ms * interval_ms
        if len(self._intervals) > WINDOW:
            oldest_ms = self._intervals.popleft()
            self._total -= oldest_ms
            self._squares -= oldest_ms * oldest_ms

    def _fit(self) -> tuple[int, int]:
        """Mean and standard deviation of the intervals, with two expected ones among them."""
        count = len(self._intervals) + 2
        total = self._total + 2 * INTERVAL_MS
        spread = DEVIATION_MS_START * DEVIATION_MS_START
        squares = self._squares + 2 * (INTERVAL_MS * INTERVAL_MS + spread)
        deviation_ms = isqrt(max(0, count * squares - total * total)) // count
        return total // count, max(DEVIATION_MS_MIN, deviation_ms)
