"""Where a query goes, and why: each replica that was looked at, with its price or its obstacle."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Obstacle(StrEnum):
    """Why a replica cannot take a query."""

    OTHER_PEER = "other_peer"
    TRIED = "tried"
    EXPIRED = "expired"
    DEAD = "dead"
    DRAINING = "draining"
    OWNER_ONLY = "owner_only"
    PRIVACY = "privacy"
    MODEL = "model"
    REVISION = "revision"
    CONTEXT = "context"
    TOOLS = "tools"
    THINKING = "thinking"
    DISABLED = "disabled"
    COOLDOWN = "cooldown"
    BREAKER = "breaker"
    DEADLINE = "deadline"


class Reason(StrEnum):
    """Why the chosen replica was chosen, or that none was."""

    LEAST_COST = "least_cost"
    ONLY_CANDIDATE = "only_candidate"
    EXPLORATION = "exploration"
    LAST_RESORT = "last_resort"
    """Everything else is ineligible, and this one is suspected to be gone."""
    NONE_ELIGIBLE = "none_eligible"
    BUDGET = "budget"
    """A second attempt would exceed its budget."""
    NOT_WORTH = "not_worth"
    """A second attempt would not help, or is not allowed."""


class Candidate(NamedTuple):
    """One replica as it was judged for one query."""

    peer: str
    name: str
    model: str
    """The model to ask for there; empty where it serves none that fits."""
    revision: str
    obstacle: Obstacle | None
    detail: str
    """What the obstacle means here, in words; empty without one."""
    cost_us: int
    """What is compared; 0 with an obstacle that was found before costs."""
    rtt_us: int
    first_token_us: int
    """Predicted until the first token: round trip, queue and uncached prompt."""
    prefill_us: int
    """What queue and uncached prompt cost: more than they take, the fuller the replica is."""
    decode_us: int
    """The weighted part of the predicted decoding."""
    penalty_us: int
    """What a recent failure or overload adds."""
    cached_tokens: int
    miss_tokens: int
    queue_tokens: int
    requests: int
    """Requests known to be there, reported and own."""
    slots: int
    age_ms: int
    """Age of its newest report; -1 where none came."""
    is_cold: bool
    """Whether a slot is free."""
    is_suspect: bool
    """Whether it is used only when nothing else is left."""

    def explain(self) -> str:
        """One line for people."""
        if self.obstacle is not None:
            return f"{self.name}: {self.detail}"
        tokens = f"{self.queue_tokens} queued + {self.miss_tokens} new"
        parts = [
            f"rtt {_show(self.rtt_us)}",
            f"prefill {_show(self.prefill_us)} for {tokens} tokens",
            f"decode {_show(self.decode_us)}",
        ]
        if self.cached_tokens:
            parts.append(f"{self.cached_tokens} tokens cached")
        if self.penalty_us:
            parts.append(f"failed lately +{_show(self.penalty_us)}")
        if self.is_suspect:
            parts.append("suspect")
        load = f"{self.requests} requests on {self.slots} slots"
        return f"{self.name}: cost {_show(self.cost_us)} ({', '.join(parts)}; {load})"


class Decision(NamedTuple):
    """Where a query goes, and everything that was weighed for it."""

    chosen: Candidate | None
    reason: Reason
    candidates: tuple[Candidate, ...]
    """Sorted by peer id, eligible or not; above `Settings.scored_max` peers, those looked at."""
    retry_after_ms: int = 0
    """With nothing chosen: when asking again may help; 0 where unknown."""

    def explain(self) -> tuple[str, ...]:
        """One line per replica, the chosen one first, then by cost, then those left out."""
        order = sorted(self.candidates, key=self._rank)
        return tuple(candidate.explain() for candidate in order)

    def _rank(self, candidate: Candidate) -> tuple[bool, bool, int, str]:
        return (
            self.chosen is None or candidate.peer != self.chosen.peer,
            candidate.obstacle is not None,
            candidate.cost_us,
            candidate.peer,
        )


class Retry(NamedTuple):
    """What follows a failed attempt."""

    decision: Decision
    """Where to go; nothing chosen where the failure is the query's end."""
    delay_ms: int = 0
    """How long to wait before asking there."""
    resumes: bool = False
    """Whether the new replica continues the text so far instead of starting anew."""
    detail: str = ""
    """Why there is no further attempt, in words; empty where there is one."""


def _show(duration_us: int) -> str:
    if duration_us < 10_000:
        return f"{duration_us // 1000}.{duration_us % 1000 // 100} ms"
    if duration_us < 10_000_000:
        return f"{duration_us // 1000} ms"
    return f"{duration_us // 1_000_000} s"
