"""Who is left alone because it said that it is busy or out of its limits.

A limit belongs to an account, not to one replica: all replicas of its quota domain wait together.
The wait holds even where a domain is the only candidate: asking again earlier would be refused.
When a wait for a limit is over, one request at a time finds out whether the limit is, too; waits
that were followed by another refusal double.
"""

from __future__ import annotations

from dataclasses import dataclass

COOLDOWN_MS = 1_000
"""Where a refusal does not say when to come back."""
COOLDOWN_MS_MAX = 60_000
PROBE_MS_MAX = 60_000
"""How long a domain whose wait is over is treated with care."""


@dataclass(slots=True)
class _Domain:
    until_ms: int
    wait_ms: int
    is_load: bool
    """Whether its load is why, not a limit."""
    probe: int | None = None


class Cooldowns:
    """Quota domains that wait, until when."""

    def __init__(self) -> None:
        self._domains: dict[str, _Domain] = {}

    def start(self, domain: str, retry_after_ms: int, *, now_ms: int, is_load: bool) -> None:
        """A member of the domain was refused; `is_load` where its load is why, not a limit."""
        self._expire(now_ms)
        wait_ms = min(retry_after_ms if retry_after_ms > 0 else COOLDOWN_MS, COOLDOWN_MS_MAX)
        known = self._domains.get(domain)
        if known is None:
            self._domains[domain] = _Domain(now_ms + wait_ms, wait_ms, is_load)
            return
        known.is_load = known.is_load and is_load
        known.probe = None
        if known.until_ms <= now_ms:
            known.wait_ms = min(max(wait_ms, 2 * known.wait_ms), COOLDOWN_MS_MAX)
            wait_ms = known.wait_ms
        known.until_ms = max(known.until_ms, now_ms + wait_ms)

    def on_sent(self, domain: str, ticket: int) -> None:
        """A request goes to the domain; after a wait for a limit it is the probe."""
        known = self._domains.get(domain)
        if known is not None and known.probe is None and not known.is_load:
            known.probe = ticket

    def on_served(self, domain: str) -> None:
        """A member of the domain answers: its limits hold nobody back."""
        self._domains.pop(domain, None)

    def on_ended(self, domain: str, ticket: int) -> None:
        """A request ended in a way that says nothing of limits: the next one may probe."""
        known = self._domains.get(domain)
        if known is not None and known.probe == ticket:
            known.probe = None

    def on_room(self, domain: str) -> None:
        """A member reports a free slot: waiting for its load to go down is over."""
        known = self._domains.get(domain)
        if known is not None and known.is_load:
            del self._domains[domain]

    def wait_ms(self, domain: str, now_ms: int) -> int:
        """How much longer the domain waits; 0 for not at all."""
        known = self._domains.get(domain)
        if known is None:
            return 0
        if known.until_ms > now_ms:
            return known.until_ms - now_ms
        is_probed = known.probe is not None and now_ms - known.until_ms < PROBE_MS_MAX
        return COOLDOWN_MS if is_probed else 0

    def is_limit(self, domain: str) -> bool:
        """Whether a limit is why the domain waits, rather than its load."""
        known = self._domains.get(domain)
        return known is not None and not known.is_load

    def _expire(self, now_ms: int) -> None:
        """Forget what is over, and was so long ago that it says nothing any more."""
        self._domains = {
            name: domain
            for name, domain in self._domains.items()
            if now_ms - domain.until_ms < PROBE_MS_MAX
        }
