"""What a request used and cost: one small record each, for whoever keeps the books.

An engine that meters (`base.Metered`) hands a record to its sink when a request has ended, however
it ended. Costs are whole micro-dollars: money is never a float here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

TOKENS_MAX = 1 << 40
"""A count above this is a mistake of who reports it, and is left out."""


class Outcome(StrEnum):
    """How a request ended, for the books; `UsageRecord.fault` says why it failed."""

    ANSWERED = "answered"
    FAILED = "failed"
    """Before the first token: usually not billed."""
    INTERRUPTED = "interrupted"
    """After the first token: usually billed."""
    CANCELLED = "cancelled"
    """The asker went away; providers may bill what they had produced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One request at one engine."""

    time_ms: int
    """When it ended, in milliseconds since 1970 by this machine's clock."""
    engine: str
    model: str
    """The model that answered, by its own account; the one asked for where none did."""
    request_id: str = ""
    """The provider's id of the request, for its support; else the answer's id."""
    prompt_tokens: int = 0
    """All tokens of the prompt, those found in a cache included."""
    cached_tokens: int = 0
    completion_tokens: int = 0
    """All tokens of the answer, those of its reasoning included."""
    reasoning_tokens: int = 0
    cost_udollar: int | None = None
    """Micro-dollars, rounded up; None where neither the provider nor a price list tells."""
    latency_ms: int = 0
    """From the request, waiting for a slot included, to its end."""
    first_token_ms: int | None = None
    """From the request to the first token; None where none came."""
    outcome: Outcome = Outcome.ANSWERED
    fault: str = ""
    """An `EngineFault` where the request failed or was interrupted."""


UsageSink = Callable[[UsageRecord], None]
"""Takes a record; called in the event loop, so it neither blocks nor raises."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """The token counts of a usage object, read without trusting its shape."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0


def read_token_usage(usage: object) -> TokenUsage:
    """The counts in a usage object of any of the dialects; what is missing or absurd counts 0."""
    if not isinstance(usage, dict):
        return TokenUsage()
    prompt = _count(usage.get("prompt_tokens"))
    completion = _count(usage.get("completion_tokens"))
    cached = _count(usage.get("cached_tokens")) or _detail(
        usage, "prompt_tokens_details", "cached_tokens"
    )
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens") or _count(
        usage.get("reasoning_tokens")
    )
    return TokenUsage(prompt, min(cached, prompt), completion, min(reasoning, completion))


def _detail(usage: dict[str, Any], group: str, name: str) -> int:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else 0


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return 0
    return value
