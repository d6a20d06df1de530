"""How many requests may run at once so that tokens still come at a pace that is of use.

A batch that grows makes every sequence in it slower. Slots say what fits into memory; where a full
batch is slower than people read, requests above that pace gain nothing and cost all others.
"""

from __future__ import annotations

SHARE_MIN = 4
"""At least a quarter of the slots stay: an engine that is slow alone is not made idle for it."""
_REST_PERMILLE = 900
"""Below this share of the longest time a token may take, there is room for one more."""


class PaceLimit:
    """Slots that shrink while tokens come too slowly, and grow again."""

    def __init__(self, slots: int, token_us_max: int) -> None:
        """`token_us_max` is the longest mean time of a token; 0 for any."""
        self.slots = slots
        """How many may run now."""
        self._slots_max = slots
        self._slots_min = -(-slots // SHARE_MIN)
        self._token_us_max = token_us_max

    def note(self, token_us: int, running: int) -> None:
        """In the last second a token took so long in the mean, with so many running."""
        if self._token_us_max <= 0 or token_us <= 0:
            return
        if token_us > self._token_us_max:
            fitting = running * self._token_us_max // token_us
            self.slots = max(self._slots_min, min(self.slots, fitting))
        elif running >= self.slots and token_us * 1_000 < self._token_us_max * _REST_PERMILLE:
            self.slots = min(self.slots + 1, self._slots_max)
