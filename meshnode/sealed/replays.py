"""Which streams of a connection have been opened already: each number counts once.

Streams that are opened at the same time may arrive in another order, so a window of numbers is
remembered; whatever is older counts as seen.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 1_024
"""More than the streams that one peer may have open at once."""


class ReplayWindow:
    """The numbers that one peer has used on one connection."""

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0
        """Bit i stands for the number `highest - i`."""

    def take(self, number: int) -> bool:
        """Use a number; False for one that was used, or is too old to tell."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = ((self._seen << min(ahead, WINDOW)) | 1) & ((1 << WINDOW) - 1)
            self._highest = number
            return True
        if -ahead >= WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True
