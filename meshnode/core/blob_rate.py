"""How fast bytes may leave: a bucket that fills with time, in whole numbers."""

from __future__ import annotations


class ByteBucket:
    """Grants `rate_bytes_s` bytes per second, and at most `burst_bytes` at once."""

    def __init__(self, *, rate_bytes_s: int, burst_bytes: int, now_ms: int) -> None:
        assert rate_bytes_s > 0, "a rate of nothing would never grant"
        self._rate = rate_bytes_s
        # Counted in thousandths of a byte, so that a millisecond's part is a whole number.
        self._burst = burst_bytes * 1_000
        self._level = self._burst
        self._filled_ms = now_ms

    def take(self, size_bytes: int, *, now_ms: int) -> int:
        """Take bytes, also on credit; answers how many milliseconds to wait before they go."""
        passed_ms = max(0, now_ms - self._filled_ms)
        self._level = min(self._burst, self._level + passed_ms * self._rate)
        self._filled_ms = max(now_ms, self._filled_ms)
        self._level -= size_bytes * 1_000
        return max(0, -(self._level // self._rate))

    def is_full(self, *, now_ms: int) -> bool:
        """Whether nothing was taken for so long that it need not be remembered."""
        passed_ms = max(0, now_ms - self._filled_ms)
        return self._level + passed_ms * self._rate >= self._burst
