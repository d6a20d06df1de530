"""Where a question would go and why, and where questions went, as people and programs are shown it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meshnode.views import View


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCandidate(View):
    """One replica as it was judged for a question; times in microseconds."""

    name: str
    peer: str
    author: str
    local: bool
    """Whether it is this node's own engine."""
    chosen: bool
    eligible: bool
    obstacle: str
    """Why it cannot take the question, in one word; empty where it can."""
    detail: str
    """The same in words."""
    model: str
    """What would be asked for there; empty where it serves nothing that fits."""
    revision: str
    cost_us: int
    """What is compared: the sum of the next four, or more where it failed lately."""
    rtt_us: int
    prefill_us: int
    """Queue and new part of the prompt, at the rate that was learned."""
    decode_us: int
    penalty_us: int
    cached_tokens: int
    miss_tokens: int
    queue_tokens: int
    requests: int
    """Known to be there, running or waiting."""
    slots: int
    age_ms: int
    """Of its newest report; -1 where there is none."""
    suspect: bool
    """Whether it is asked only when nobody else is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInfo(View):
    """Where a question would go now."""

    schema: ClassVar[str] = "meshnode.route/1"

    model: str
    prompt_tokens: int
    """As estimated."""
    chosen: str | None
    """Transport id of whom it would go to; null where nobody can be asked."""
    reason: str
    retry_after_ms: int
    """Where nobody can be asked: when that may change; 0 where it is not known."""
    candidates: tuple[RouteCandidate, ...] = ()
    """The chosen one first, then by cost, then those left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementInfo(View):
    """One decision to let an engine answer a question, or not to."""

    time_ms: int
    role: str
    """What this node was: 'asking' or 'serving'."""
    requester: str
    """Author who asked."""
    owner: str
    """Author whose engine it is; empty where there was none to choose."""
    backend: str
    """'hosted' for weights that the owner runs, 'account' for what serves its owner only."""
    engine: str
    model: str
    allowed: bool
    reason: str
