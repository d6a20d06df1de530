"""When to send again what was not acknowledged: a smoothed round trip, doubled with each loss."""

from __future__ import annotations

from typing import Final

RTO_FIRST_MS: Final = 1_000
RTO_SLACK_MS: Final = 300
"""Above the delay of an acknowledgement, so that waiting for one is never taken for a loss."""
RTO_MOST_MS: Final = 2_000
"""How long after a partition a link may stay silent."""


class Retransmission:
    """One timer, as RFC 6298 has it, in whole milliseconds."""

    def __init__(self) -> None:
        self.due_ms = -1
        self.is_probing = False
        """Since a loss nothing was acknowledged: the road may be closed."""
        self._rto_ms = RTO_FIRST_MS
        self._smoothed_ms = -1
        self._variance_ms = 0
        self._timed: tuple[int, int] | None = None
        """(number of a frame sent once only, when): repeated ones tell nothing of the round trip."""

    @property
    def is_set(self) -> bool:
        """Whether it runs."""
        return self.due_ms >= 0

    def start(self, now_ms: int) -> None:
        """Run from now."""
        self.due_ms = now_ms + self._rto_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether the wait is over."""
        return 0 <= self.due_ms <= now_ms

    def note_sent(self, now_ms: int, number: int) -> None:
        """Frames up to this number went out for the first time."""
        if self._timed is None:
            self._timed = (number, now_ms)

    def back_off(self, now_ms: int) -> None:
        """Nothing came in time: wait twice as long for the next."""
        self.is_probing = True
        self._timed = None
        self._rto_ms = min(2 * self._rto_ms, RTO_MOST_MS)
        self.start(now_ms)

    def note_progress(self, now_ms: int, number: int, *, is_idle: bool) -> None:
        """Frames up to this number have arrived; with `is_idle` none are left to wait for."""
        if self._timed is not None and number >= self._timed[0]:
            self._smooth(now_ms - self._timed[1])
            self._timed = None
        self.is_probing = False
        if self._smoothed_ms >= 0:
            wanted_ms = self._smoothed_ms + max(4 * self._variance_ms, RTO_SLACK_MS)
            self._rto_ms = min(wanted_ms, RTO_MOST_MS)
        if is_idle:
            self.due_ms = -1
        else:
            self.start(now_ms)

    def _smooth(self, round_trip_ms: int) -> None:
        if self._smoothed_ms < 0:
            self._smoothed_ms, self._variance_ms = round_trip_ms, round_trip_ms // 2
            return
        error_ms = abs(self._smoothed_ms - round_trip_ms)
        self._variance_ms = (3 * self._variance_ms + error_ms) // 4
        self._smoothed_ms = (7 * self._smoothed_ms + round_trip_ms) // 8
