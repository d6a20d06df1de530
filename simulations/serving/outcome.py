"""How a request ended, what counts as good, and the figures of a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

FIRST_TOKEN_MS: Final = 2_000.0
TOKENS_PER_MS: Final = 4.0
"""Users wait 2 s, and longer for long prompts: 4,000 tokens more are worth another second."""
TPOT_MS: Final = 50.0
"""What a reader wants at most between two tokens, in the mean of an answer."""


def limit_first_token_ms(input_tokens: int) -> float:
    """The longest wait for a first token that counts as good."""
    return FIRST_TOKEN_MS + input_tokens / TOKENS_PER_MS


class Outcome(NamedTuple):
    """One request, as its user saw it."""

    number: int
    router: int
    input_tokens: int
    output_tokens: int
    error: str
    """Why there was no answer; empty for a whole one."""
    first_ms: float
    """Until the first token; negative if none came."""
    tpot_ms: float
    """For each token after it."""
    whole_ms: float
    retries: int
    hedges: int

    @property
    def is_good(self) -> bool:
        """Whether it was answered, and the first token came in time."""
        return not self.error and self.first_ms <= limit_first_token_ms(self.input_tokens)

    @property
    def is_joint(self) -> bool:
        """Whether it was good and its tokens came fast enough, too."""
        return self.is_good and self.tpot_ms <= TPOT_MS


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a run comes to. Times in seconds, of requests that were answered."""

    requests: int
    answered: int
    ttft_p50: float
    ttft_p95: float
    ttft_p99: float
    whole_p95: float
    tpot_p95_ms: float
    good: float
    """Share of all requests, errors among them."""
    joint: float
    joint_per_s: float
    """Goodput: joint requests in each second of the trace."""
    hit_rate: float
    """Share of prompt tokens that replicas had in their caches."""
    errors: dict[str, int]
    retries: int
    hedges: int
    wasted_tokens: int
    load_ratio: float
    """Busiest replica over the mean of all, by the time that prompts let in there take."""
    herd_ratio: float
    """The same within windows of ten seconds, each window weighed by what came in it."""
    events: int
    counts: dict[str, int]
    """What the policy counted, such as breakers opened."""
    ttft_s: tuple[float, ...] = ()
    """A thousandth each of all answered requests: the distribution."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of values in order; 0 of none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def sample_evenly(ordered: Sequence[float], count: int) -> tuple[float, ...]:
    """So many of many values in order, the ends among them."""
    if len(ordered) <= count:
        return tuple(ordered)
    step = (len(ordered) - 1) / (count - 1)
    return tuple(ordered[round(place * step)] for place in range(count))
