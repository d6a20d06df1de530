"""When a replica is left alone for a while because it breaks, and how it comes back.

One breaker for each replica and model. Being busy is no fault: a refusal for load or rate frees a
probe and changes nothing else, so a storm of them opens no breaker (`cooldown` handles it).
"""

from __future__ import annotations

from collections import deque

from meshnode.routing.draws import spread

STREAK = 5
"""Failures in a row that open a breaker."""
WINDOW_MS = 30_000
WINDOW_MIN = 10
"""Outcomes in the window that say something; more than half of them failed opens a breaker."""
WINDOW_MAX = 256
OPEN_MS = 30_000
OPEN_MS_MAX = 300_000
JITTER_PERMILLE = 200
SUCCESSES = 2
"""Probes in a row that must succeed before a breaker closes."""


class Breaker:
    """Closed, open for a time, or half open: then one request at a time may probe."""

    __slots__ = ("_failed", "_level", "_outcomes", "_probe", "_streak", "_successes", "until_ms")

    def __init__(self) -> None:
        self.until_ms: int | None = None
        """When it is open: from when on a probe may go out."""
        self._outcomes: deque[tuple[int, bool]] = deque(maxlen=WINDOW_MAX)
        self._failed = 0
        self._streak = 0
        self._level = 0
        self._successes = 0
        self._probe: int | None = None

    def allows(self, now_ms: int) -> bool:
        """Whether a request may go out now."""
        return self.until_ms is None or (now_ms >= self.until_ms and self._probe is None)

    def on_sent(self, ticket: int, *, now_ms: int) -> None:
        """A request goes out; with the breaker half open it is the probe."""
        if self.until_ms is not None and now_ms >= self.until_ms and self._probe is None:
            self._probe = ticket

    def on_neutral(self, ticket: int) -> None:
        """A request ended in a way that says nothing: the next one may probe."""
        if self._probe == ticket:
            self._probe = None

    def on_success(self, ticket: int, *, now_ms: int) -> None:
        """A request was answered in full."""
        if self.until_ms is None:
            self._streak = 0
            self._note(now_ms, failed=False)
        elif self._probe == ticket:
            self._probe = None
            self._successes += 1
            if self._successes == SUCCESSES:
                self._close()

    def on_failure(self, ticket: int, *, now_ms: int, draw: int) -> None:
        """A request broke."""
        if self.until_ms is None:
            self._streak += 1
            self._note(now_ms, failed=True)
            if self._streak >= STREAK or self._is_failing():
                self._open(now_ms, draw)
        elif self._probe == ticket:
            self._probe = None
            self._open(now_ms, draw)

    def _note(self, now_ms: int, *, failed: bool) -> None:
        if len(self._outcomes) == WINDOW_MAX:
            self._failed -= self._outcomes.popleft()[1]
        self._outcomes.append((now_ms, failed))
        self._failed += failed
        while now_ms - self._outcomes[0][0] >= WINDOW_MS:
            self._failed -= self._outcomes.popleft()[1]

    def _is_failing(self) -> bool:
        return len(self._outcomes) >= WINDOW_MIN and 2 * self._failed > len(self._outcomes)

    def _open(self, now_ms: int, draw: int) -> None:
        open_ms = min(OPEN_MS << self._level, OPEN_MS_MAX)
        self._level = min(self._level + 1, 8)
        self._successes = 0
        self.until_ms = now_ms + spread(open_ms, draw, permille=JITTER_PERMILLE)

    def _close(self) -> None:
        self.until_ms = None
        self._level = self._streak = self._failed = 0
        self._outcomes.clear()
