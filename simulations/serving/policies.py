"""All policies by their names, ours first."""

from __future__ import annotations

from typing import Final

from simulations.errors import BadModel
from simulations.serving.baselines import (
    PowerOfTwo,
    Random,
    RoundRobin,
    ShortestOfTwo,
    ShortestQueue,
)
from simulations.serving.ours import Ours
from simulations.serving.port import PolicyMaker
from simulations.serving.published import CacheAware, Gorgo, HotCold, LMetric, PeakEwma

OURS: Final = "meshnode"
POLICIES: Final[dict[str, PolicyMaker]] = {
    OURS: Ours,
    "lmetric": LMetric,
    "gorgo": Gorgo,
    "hcl": HotCold,
    "peak-ewma": PeakEwma,
    "p2c": PowerOfTwo,
    "jsq": ShortestQueue,
    "jsq2": ShortestOfTwo,
    "round-robin": RoundRobin,
    "random": Random,
    "cache-aware": CacheAware,
}
SHORT: Final = (OURS, "lmetric", "gorgo", "hcl", "peak-ewma", "p2c")
"""Ours and the strongest others; the rest shows what comes of simpler ideas."""


def find_policy(name: str) -> PolicyMaker:
    """What makes the policy of a name. Raises `BadModel`."""
    maker = POLICIES.get(name)
    if maker is None:
        raise BadModel(f"no policy is called {name!r}", hint=f"one of {', '.join(POLICIES)}")
    return maker
