"""What a comparison amounts to, in the whole numbers that the market can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from market.amounts import BASIS_POINTS
from market.commands import VerdictMotion

if TYPE_CHECKING:
    from meshnode.quality.replay import Comparison

REPLAY_METHOD: Final = "replay/1"
COMPARED_MIN: Final = 64
"""Tokens below which nobody is judged."""
GENUINE_BP: Final = 9_800
"""Share of matches from which on an answer is the model's own."""
SUBSTITUTED_BP: Final = 9_500
"""Share below which it is not. What lies between is left open: more has to be compared."""
Finding = Literal["genuine", "open", "substituted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a replay has found; the fields are those of `VerdictMotion`."""

    compared: int
    matched: int
    model_digest: bytes
    """Of the weights that the answers were compared with."""
    method: str = REPLAY_METHOD

    @property
    def finding(self) -> Finding:
        """What follows from it."""
        if self.compared < COMPARED_MIN:
            return "open"
        share = self.matched * BASIS_POINTS
        if share >= GENUINE_BP * self.compared:
            return "genuine"
        return "substituted" if share < SUBSTITUTED_BP * self.compared else "open"


def make_verdict(comparison: Comparison, model_digest: bytes) -> Verdict:
    """The verdict on answers, of all their comparisons together."""
    return Verdict(
        compared=comparison.compared, matched=comparison.matched, model_digest=model_digest
    )


def make_motion(contract: bytes, verdict: Verdict) -> VerdictMotion:
    """The motion that ends a disputed contract: who has substituted gets nothing."""
    is_fraud = verdict.finding == "substituted"
    return VerdictMotion(
        contract=contract,
        provider_bp=0 if is_fraud else BASIS_POINTS,
        compared=verdict.compared,
        matched=verdict.matched,
        method=verdict.method,
        model_digest=verdict.model_digest,
        fraud=is_fraud,
    )
