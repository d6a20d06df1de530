"""The one clock of a node: Unix milliseconds that never go back.

The core may assume that time only moves forward, so a clock reads the wall once, at its start, and
counts on from there. Adjustments of the wall clock while a node runs do not reach it; a machine's
sleep does, where the system offers a clock that counts through it.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

from dag.types import TimeMs

_NS_PER_MS: Final = 1_000_000
_STEADY_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class TimeSource(Protocol):
    """Anything that tells the time: the real clock, or a test's."""

    def now_ms(self) -> TimeMs:
        """Milliseconds since the Unix epoch; never smaller than before."""


class Clock:
    """The machine's time, read from the wall once and counted on steadily."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.clock_gettime_ns(_STEADY_CLOCK)

    def now_ms(self) -> TimeMs:
        """Milliseconds since the Unix epoch; never smaller than before."""
        steady_ns = time.clock_gettime_ns(_STEADY_CLOCK)
        return TimeMs((steady_ns + self._offset_ns) // _NS_PER_MS)


class ManualClock:
    """A clock that moves only when told to; for tests and replays."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = start_ms

    def now_ms(self) -> TimeMs:
        """The time it was set to."""
        return TimeMs(self._now_ms)

    def advance(self, by_ms: int) -> None:
        """Move forward."""
        assert by_ms >= 0, "a clock never goes back"
        self._now_ms += by_ms
