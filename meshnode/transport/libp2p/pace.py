"""How fast bytes may go where they share a narrow way."""

from __future__ import annotations


class Pace:
    """A rate, of which a second's worth may be spent at once. Pure: time comes in as seconds."""

    def __init__(self, bytes_per_s: int) -> None:
        self._per_s = bytes_per_s
        self._free_at_s = 0.0

    def spend(self, now_s: float, size_bytes: int) -> float:
        """How long to wait after so many bytes, in seconds."""
        begin_s = max(self._free_at_s, now_s - 1.0)
        self._free_at_s = begin_s + size_bytes / self._per_s
        return max(0.0, self._free_at_s - now_s)
