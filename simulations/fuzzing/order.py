"""One run of a committee, with the seeded bug of its spec switched on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.consensus.run import Result, simulate
from simulations.fuzzing.mutants import switch_on

if TYPE_CHECKING:
    from simulations.consensus.spec import Spec

__all__ = ["Result", "run"]


def run(spec: Spec) -> Result:
    """Simulate one run."""
    with switch_on(spec.mutant):
        return simulate(spec)
