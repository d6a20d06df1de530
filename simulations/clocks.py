"""A host's own clock: where it stands, how fast it runs, and how that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulations.errors import BadModel

PPB: Final = 1_000_000_000
NS_PER_H: Final = 3_600_000_000_000
SKEW_PPB_MAX: Final = 1_000_000
DRIFT_PPB_MAX: Final = 100_000
GUESSES: Final = 3
"""Each leaves a thousandth of the distance at most, so that little is left to search."""


@dataclass(slots=True)
class Clock:
    """Local time as a function of true time; integers only, and it never runs backwards.

    local = true + offset + true * skew + drift * true^2 / 2
    """

    offset_ns: int = 0
    skew_ppb: int = 0
    """Nanoseconds gained per second; a plain crystal has up to 50,000."""
    drift_ppb_per_h: int = 0
    """How much the skew grows in an hour, as with temperature."""

    def __post_init__(self) -> None:
        """Refuse a clock that could run backwards."""
        if abs(self.skew_ppb) > SKEW_PPB_MAX or abs(self.drift_ppb_per_h) > DRIFT_PPB_MAX:
            raise BadModel(
                f"a clock of {self.skew_ppb} ppb skew and {self.drift_ppb_per_h} ppb/h drift",
                hint=f"use at most {SKEW_PPB_MAX} ppb and {DRIFT_PPB_MAX} ppb/h",
            )

    def read(self, true_ns: int) -> int:
        """Local time at a true time."""
        if not self.skew_ppb and not self.drift_ppb_per_h:
            return true_ns + self.offset_ns
        gained = true_ns * self.skew_ppb // PPB
        gained += self.drift_ppb_per_h * true_ns * true_ns // (2 * NS_PER_H * PPB)
        return true_ns + self.offset_ns + gained

    def find(self, local_ns: int, since_ns: int = 0) -> int:
        """The first true time, not before `since_ns`, at which this clock shows a local time."""
        if not self.skew_ppb and not self.drift_ppb_per_h:
            return max(since_ns, local_ns - self.offset_ns)
        if self.read(since_ns) >= local_ns:
            return since_ns
        guess_ns = since_ns
        for _ in range(GUESSES):
            guess_ns += local_ns - self.read(guess_ns)
        low, high, step = guess_ns - 1, guess_ns, 1
        while self.read(low) >= local_ns:
            low -= step
            step *= 2
        while self.read(high) < local_ns:
            high += step
            step *= 2
        while low < high:
            middle = (low + high) // 2
            if self.read(middle) < local_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def jump(self, by_ns: int) -> None:
        """Set the clock, as an operator or NTP would."""
        self.offset_ns += by_ns
