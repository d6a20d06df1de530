"""What a guarantee means: who probes, from how many misses on it is broken, and what that costs.

A provider exactly as good as it guarantees has bad luck too. It is slashed only from so many misses
on that it would have them by chance at most once in a thousand windows; the number is computed from
the binomial distribution in whole numbers, so every machine finds the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from math import comb
from typing import Final

from dag.canonical import compute_digest
from market.amounts import BASIS_POINTS
from market.tiers import SLA

WINDOW_MS: Final = 600_000
REPORT_GRACE_MS: Final = 60_000
"""After the end of a window, for the reports on it."""
PROBERS: Final = 5
PROBERS_QUORUM: Final = 3
PROBES_MIN: Final = 4
PROBES_MAX: Final = 20
JUDGED_MIN: Final = 20
"""With fewer outcomes nobody is slashed."""
CHANCE_DIVISOR: Final = 1_000
SLASH_FACTOR: Final = 4
SLASH_MAX_BP: Final = 5_000
EQUIVOCATION_BP: Final = 1_000
"""Of the stake of who signs two receipts of one number."""
COLLATERAL_BP: Final = (2_000, 5_000, 10_000, 20_000)
"""By tier of guarantee, of the value of what is offered."""
PROBER_DOMAIN: Final = b"meshnode/market-probers/1"


def get_guarantee(tier: int) -> int:
    """What a tier guarantees, in basis points of availability."""
    return SLA.promises[tier]


def find_miss_threshold(guarantee_bp: int, probes: int) -> int:
    """The least number of misses that breaks a guarantee; more than there are probes if none does.

    P(misses >= m) for an honest provider is at most 1 / 1,000, compared without dividing.
    """
    miss = BASIS_POINTS - guarantee_bp
    whole = BASIS_POINTS**probes
    misses, tail = probes + 1, 0
    while tail * CHANCE_DIVISOR <= whole:
        # All outcomes together are certain, so this ends at no misses at the latest.
        misses -= 1
        tail += comb(probes, misses) * miss**misses * guarantee_bp ** (probes - misses)
    return misses + 1


def compute_uptime(ok: int, probes: int) -> int:
    """Share of probes that were answered, in basis points, rounded down."""
    return ok * BASIS_POINTS // probes


def compute_slash(guarantee_bp: int, ok: int, probes: int) -> int:
    """Part of the collateral that is lost, in basis points; 0 while chance may explain it."""
    if probes < JUDGED_MIN or guarantee_bp == 0:
        return 0
    if probes - ok < find_miss_threshold(guarantee_bp, probes):
        return 0
    shortfall_bp = max(0, guarantee_bp - compute_uptime(ok, probes))
    return min(SLASH_MAX_BP, SLASH_FACTOR * shortfall_bp)


def pick_probers(
    beacon: bytes, provider: bytes, window: int, weights: Mapping[bytes, int]
) -> tuple[bytes, ...]:
    """Draw who probes a provider: at most five by weight, without putting anybody back."""
    left = {each: weights[each] for each in sorted(weights) if each != provider and weights[each]}
    seed = beacon + provider + window.to_bytes(8, "big")
    picked: list[bytes] = []
    while left and len(picked) < PROBERS:
        drawn = compute_digest(PROBER_DOMAIN, seed + len(picked).to_bytes(1, "big"))
        ends = list(accumulate(left.values()))
        ticket = int.from_bytes(drawn, "big") % ends[-1]
        picked.append(list(left)[bisect_right(ends, ticket)])
        del left[picked[-1]]
    return tuple(picked)
