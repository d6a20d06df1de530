"""What scenarios measure: one module each, with its `Parameters` and a pure `run`.

A measurement is a function of (parameters, seed): it draws from the world's streams, and tells
time by the world's clock.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from simulations.results import Outcome
from simulations.scenarios.errors import BadScenario, suggest
from simulations.scenarios.networks import WorldParameters

MEASURES: Final = ("byzantine", "churn", "finality", "flood", "gossip", "partition", "push")


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement by name."""

    name: str
    parameters: type[WorldParameters]
    run: Callable[[Any, int], Outcome]
    """Takes its own kind of parameters, and a seed."""


def get_measure(name: str) -> Measure:
    """The measurement of a name, imported now. Raises `BadScenario`."""
    if name not in MEASURES:
        raise BadScenario(f"there is no measure {name!r}{suggest(name, MEASURES)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return Measure(name, module.Parameters, module.run)
