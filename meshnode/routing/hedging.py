"""When a query that has no token yet is worth asking a second replica, for the tail's sake."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

DELAY_MS_MIN = 1_000
WINDOW = 128
SAMPLES_MIN = 20
"""Before so many predictions were checked nothing is known of their tail."""
QUANTILE_PERCENT = 95
FILL_MAX_PERCENT = 70
"""Above this share of all slots in use a second copy hurts more than it helps."""


class PredictionErrors:
    """How much later than predicted the last first tokens came."""

    def __init__(self) -> None:
        self._recent: deque[int] = deque()
        self._sorted: list[int] = []

    def note(self, predicted_ms: int, actual_ms: int) -> None:
        """A first token came."""
        error_ms = actual_ms - predicted_ms
        self._recent.append(error_ms)
        insort(self._sorted, error_ms)
        if len(self._recent) > WINDOW:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]

    def hedge_delay_ms(self, predicted_ms: int) -> int | None:
        """When a first token is later than nearly all of them; None before that is known."""
        if len(self._sorted) < SAMPLES_MIN:
            return None
        late_ms = self._sorted[len(self._sorted) * QUANTILE_PERCENT // 100]
        return max(DELAY_MS_MIN, predicted_ms + late_ms)


def has_room(requests: int, slots: int) -> bool:
    """Whether the replicas that could serve a query are idle enough for a second copy."""
    return requests * 100 <= slots * FILL_MAX_PERCENT
