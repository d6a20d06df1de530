"""How long a replica pauses between tokens, so that a stall can be told from slowness."""

from __future__ import annotations

COUNT_MAX = 4_096
"""At so many gaps the older ones count half."""
STALL_FACTOR = 10


class Gaps:
    """A histogram of gaps in quarter octaves: what it returns is at most a quarter too long."""

    __slots__ = ("_buckets", "_count")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._count = 0

    def note(self, gap_ms: int) -> None:
        """Tokens came this long after those before."""
        bucket = _find_bucket(max(0, gap_ms))
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self._count += 1
        if self._count >= COUNT_MAX:
            self._buckets = {each: n // 2 for each, n in self._buckets.items() if n > 1}
            self._count = sum(self._buckets.values())

    def find_long_ms(self) -> int:
        """The gap that 99 of 100 stay below; 0 before there was one."""
        if not self._buckets:
            return 0
        longest = sorted(self._buckets, reverse=True)
        beyond = self._count // 100
        while beyond >= self._buckets[longest[0]]:
            beyond -= self._buckets[longest.pop(0)]
        return _find_end(longest[0])

    def stall_ms(self, minimum_ms: int) -> int:
        """How long a silence is a stall."""
        return max(minimum_ms, STALL_FACTOR * self.find_long_ms())


def _find_bucket(gap_ms: int) -> int:
    octave = gap_ms.bit_length()
    return gap_ms if octave < 3 else 4 * (octave - 2) + (gap_ms >> (octave - 3) & 3)


def _find_end(bucket: int) -> int:
    """The least gap beyond a bucket."""
    if bucket < 4:
        return bucket + 1
    octave = bucket // 4 + 2
    return (bucket % 4 + 5) << (octave - 3)
