"""How many second attempts a node may make: they must not become the load that made them needed."""

from __future__ import annotations

WINDOW_MS = 10_000
_BUCKET_MS = 1_000
_BUCKETS = WINDOW_MS // _BUCKET_MS
RETRY_PERCENT = 20
RETRIES_MIN = 3
"""Retries a window may have however few requests it has."""
HEDGE_PERMILLE = 50
HEDGES_MAX = 10
"""Hedges that may be saved up."""


class RetryBudget:
    """Retries are at most a fifth of the requests of the last ten seconds, or three."""

    def __init__(self) -> None:
        self._requests: dict[int, int] = {}
        self._retries: dict[int, int] = {}

    def note_request(self, now_ms: int) -> None:
        """A first attempt goes out."""
        _count(self._requests, now_ms)

    def spend(self, now_ms: int) -> bool:
        """Whether one more retry may go out; if so it is counted."""
        requests = _sum(self._requests, now_ms)
        if _sum(self._retries, now_ms) >= max(RETRIES_MIN, requests * RETRY_PERCENT // 100):
            return False
        _count(self._retries, now_ms)
        return True


class HedgeBudget:
    """A token bucket: each request earns a twentieth of a hedge."""

    def __init__(self) -> None:
        self._permille = 0

    def note_request(self) -> None:
        """A first attempt goes out."""
        self._permille = min(self._permille + HEDGE_PERMILLE, HEDGES_MAX * 1_000)

    def spend(self) -> bool:
        """Whether a hedge may go out; if so it is paid for."""
        if self._permille < 1_000:
            return False
        self._permille -= 1_000
        return True


def _count(buckets: dict[int, int], now_ms: int) -> None:
    bucket = now_ms // _BUCKET_MS
    buckets[bucket] = buckets.get(bucket, 0) + 1


def _sum(buckets: dict[int, int], now_ms: int) -> int:
    """What the window holds; buckets that left it are dropped."""
    first = now_ms // _BUCKET_MS - _BUCKETS + 1
    for bucket in [each for each in buckets if each < first]:
        del buckets[bucket]
    return sum(buckets.values())
