"""Who is left alone because it said that it is busy or out of its limits.

A limit belongs to an account, not to one replica: all replicas of its quota domain wait together.
The wait holds even where a domain is the only candidate: asking again earlier would be refused.
"""

from __future__ import annotations

COOLDOWN_MS = 1_000
"""Where a refusal does not say when to come back."""
COOLDOWN_MS_MAX = 60_000


class Cooldowns:
    """Quota domains that wait, until when."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._load: dict[str, bool] = {}

    def start(self, domain: str, retry_after_ms: int, *, now_ms: int, is_load: bool) -> None:
        """A member of the domain was refused; `is_load` where its load is why, not a limit."""
        self.expire(now_ms)
        wait_ms = min(retry_after_ms if retry_after_ms > 0 else COOLDOWN_MS, COOLDOWN_MS_MAX)
        self._until[domain] = max(self._until.get(domain, 0), now_ms + wait_ms)
        self._load[domain] = is_load and self._load.get(domain, True)

    def end_for_load(self, domain: str) -> None:
        """A member reports a free slot: waiting for its load to go down is over."""
        if self._load.get(domain):
            del self._until[domain], self._load[domain]

    def wait_ms(self, domain: str, now_ms: int) -> int:
        """How much longer the domain waits; 0 for not at all."""
        return max(0, self._until.get(domain, 0) - now_ms)

    def expire(self, now_ms: int) -> None:
        """Forget what is over."""
        for domain in [each for each, until_ms in self._until.items() if until_ms <= now_ms]:
            del self._until[domain], self._load[domain]
