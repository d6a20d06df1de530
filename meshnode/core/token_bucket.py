"""A rate with a burst, in whole milliseconds: one number says when the bucket is full again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class TokenBucket:
    """Gives a token every `gap_ms`, and keeps `burst` of them at most. It begins full."""

    gap_ms: int
    burst: int
    full_ms: int = 0
    """When no token will be missing any more."""

    def has_token(self, now_ms: int) -> bool:
        """Whether there is one."""
        return self.full_ms - now_ms <= self.gap_ms * (self.burst - 1)

    def take(self, now_ms: int) -> bool:
        """Take a token; answers whether there was one."""
        if not self.has_token(now_ms):
            return False
        self.spend(now_ms)
        return True

    def spend(self, now_ms: int) -> None:
        """Take a token whether there is one or not: the next ones are missing, then."""
        self.full_ms = max(self.full_ms, now_ms) + self.gap_ms

    def find_next(self, now_ms: int) -> int:
        """When there is a token, from now on."""
        return max(now_ms, self.full_ms - self.gap_ms * (self.burst - 1))

    def owes(self, now_ms: int, tokens: int) -> bool:
        """Whether more tokens than these were taken that were not there."""
        return self.full_ms - now_ms > self.gap_ms * (self.burst + tokens)
