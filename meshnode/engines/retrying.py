"""When a request is tried again at the same engine: seldom, later each time, never in step.

No I/O and no clock: times come in as milliseconds, chance as a `Random`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineFault, WaitEnded

if TYPE_CHECKING:
    from random import Random

    from meshnode.engines.base import EngineError

WINDOW_MS = 10_000
BUDGET_PERCENT = 20
BUDGET_MIN = 3
WAIT_MS_MIN = 500
WAIT_MS_MAX = 8_000
RETRY_AFTER_MS_MAX = 30_000
"""Who is asked to wait longer than this is told so, and does not wait here."""

RETRIED = frozenset(
    {
        EngineFault.OVERLOADED,
        EngineFault.INTERNAL,
        EngineFault.UNREACHABLE,
        EngineFault.TIMEOUT,
        EngineFault.TRUNCATED,
        EngineFault.MALFORMED,
    }
)
"""A limit is not among them: its domain cools down, and the asker learns until when."""


class RetryBudget:
    """Retries are at most a fifth of the requests of the last ten seconds, or three."""

    def __init__(self) -> None:
        self._requests: deque[int] = deque()
        self._retries: deque[int] = deque()

    def note_request(self, *, now_ms: int) -> None:
        """Count a request, not a retry."""
        _forget(self._requests, now_ms)
        self._requests.append(now_ms)

    def take(self, *, now_ms: int) -> bool:
        """Whether one more retry is within the budget; if so, it is spent."""
        _forget(self._requests, now_ms)
        _forget(self._retries, now_ms)
        allowed = max(BUDGET_MIN, len(self._requests) * BUDGET_PERCENT // 100)
        if len(self._retries) >= allowed:
            return False
        self._retries.append(now_ms)
        return True


def _forget(times: deque[int], now_ms: int) -> None:
    while times and times[0] <= now_ms - WINDOW_MS:
        times.popleft()


def plan_wait_ms(error: EngineError, *, attempt: int, random: Random) -> int | None:
    """How long to wait before attempt number `attempt` (from 1); None not to try again.

    A wait of our own that ran out is not begun anew: the first one may still be billed. A time the
    provider names is kept to, with a tenth of chance on top; else chance picks from
    a span that doubles with each attempt.
    """
    if error.fault not in RETRIED or isinstance(error, WaitEnded):
        return None
    if error.retry_after_ms is not None:
        if error.retry_after_ms > RETRY_AFTER_MS_MAX:
            return None
        return error.retry_after_ms + random.randint(0, error.retry_after_ms // 10)
    return random.randint(WAIT_MS_MIN, min(WAIT_MS_MIN << attempt, WAIT_MS_MAX))
