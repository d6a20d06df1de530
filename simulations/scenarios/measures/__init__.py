"""What scenarios measure: one module each, with its `Parameters` and a pure `run`.

A measurement is a function of (parameters, seed): it draws from the world's streams, and tells
time by the world's clock. Those of economies have an exchange in place of a world.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from simulations.results import Outcome
from simulations.scenarios.errors import BadScenario, suggest

MEASURES: Final = (
    "byzantine",
    "call_auction",
    "cheating",
    "churn",
    "congestion",
    "finality",
    "flood",
    "gossip",
    "partition",
    "push",
    "sybil",
    "wash",
    "whitewash",
    "zero_intelligence",
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement by name."""

    name: str
    parameters: type[BaseModel]
    run: Callable[[Any, int], Outcome]
    """Takes its own kind of parameters, and a seed."""


def get_measure(name: str) -> Measure:
    """The measurement of a name, imported now. Raises `BadScenario`."""
    if name not in MEASURES:
        raise BadScenario(f"there is no measure {name!r}{suggest(name, MEASURES)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return Measure(name, module.Parameters, module.run)
