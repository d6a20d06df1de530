"""What this node has learned of one model at one replica."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.routing.breaker import Breaker
from meshnode.routing.gaps import Gaps
from meshnode.routing.rates import Rates

if TYPE_CHECKING:
    from meshnode.routing.settings import Settings

DISABLED_MS = 600_000
"""How long a refusal for good holds where the replica's offer does not change before."""


class ServiceState:
    """Rates, breaker and pauses of one model at one replica."""

    __slots__ = ("breaker", "disabled_ms", "gaps", "rates")

    def __init__(self, settings: Settings, *, prefill_ns: int, decode_ns: int) -> None:
        self.rates = Rates(settings, prefill_ns=prefill_ns, decode_ns=decode_ns)
        self.breaker = Breaker()
        self.gaps = Gaps()
        self.disabled_ms: int | None = None
        """When the replica refused the model for good."""

    def is_disabled(self, now_ms: int) -> bool:
        """Whether asking again would only be refused again."""
        return self.disabled_ms is not None and now_ms - self.disabled_ms < DISABLED_MS
