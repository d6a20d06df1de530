"""How fast a replica is, learned from what this node's own queries saw of it.

Nanoseconds per token as integers. What a replica claims is a start value only: nobody is slower
or faster for saying so. Prefill rates rise faster than they fall, so that an overloaded replica
is noticed within a few queries and forgiven over many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshnode.routing.settings import Settings

RATE_NS_MIN = 1_000
RATE_NS_MAX = 10_000_000_000
"""A token in ten seconds: whatever is slower is all the same."""
OUTLIER_FACTOR = 10
"""One query can say that a replica is this much slower than thought, not more."""
WORK_TOKENS = 2_048
"""Less prefill than this moves the rate by less: small prompts are mostly latency of other kinds."""
CLAIM_FACTOR = 30
"""Nobody is taken to be more than so many times faster than the default for saying so."""
_UP_DIVISOR = 5
_DOWN_DIVISOR = 10
_DECODE_DIVISOR = 10


class Rates:
    """Prefill and decode rate of one replica for one model."""

    __slots__ = ("decode_ns", "prefill_ns")

    def __init__(self, settings: Settings, *, prefill_ns: int = 0, decode_ns: int = 0) -> None:
        """Start from what the replica claims, within reason; 0 for no claim."""
        self.prefill_ns = _start(prefill_ns, settings.prefill_ns_start)
        self.decode_ns = _start(decode_ns, settings.decode_ns_start)

    def observe_prefill(self, duration_ms: int, tokens: int) -> None:
        """The first token took so long beyond the round trip, behind so many tokens in all."""
        sample_ns = max(0, duration_ms) * 1_000_000 // max(1, tokens)
        step_ns = min(sample_ns, OUTLIER_FACTOR * self.prefill_ns) - self.prefill_ns
        divisor = WORK_TOKENS * (_UP_DIVISOR if step_ns > 0 else _DOWN_DIVISOR)
        weight = min(max(1, tokens), WORK_TOKENS)
        self.prefill_ns = clamp_rate(self.prefill_ns + step_ns * weight // divisor)

    def observe_decode(self, duration_ms: int, tokens: int) -> None:
        """So many tokens came in so long after the first."""
        sample_ns = max(0, duration_ms) * 1_000_000 // max(1, tokens)
        step_ns = min(sample_ns, OUTLIER_FACTOR * self.decode_ns) - self.decode_ns
        self.decode_ns = clamp_rate(self.decode_ns + step_ns // _DECODE_DIVISOR)


def _start(claimed_ns: int, default_ns: int) -> int:
    if claimed_ns <= 0:
        return default_ns
    return max(clamp_rate(claimed_ns), default_ns // CLAIM_FACTOR)


def clamp_rate(rate_ns: int) -> int:
    """A rate that arithmetic and people can live with."""
    return min(max(rate_ns, RATE_NS_MIN), RATE_NS_MAX)
