"""The mutation score: how many seeded bugs a campaign finds, and with how many runs.

A bug is caught when a run breaks a promise, or when runs with it never reach a state that the same
runs without it reach.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial

import msgspec

from simulations.errors import SimulationError
from simulations.fidelity import Fidelity
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.run import run
from simulations.fuzzing.spec import draw_spec
from simulations.sweeps.engines import Failure, make_local_engine

SEEDS = 60


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one bug."""

    mutant: str
    says: str
    caught: bool
    runs: int
    """Until it was caught, or all of them."""
    seed: int = -1
    """The run that broke a promise."""
    check: str = ""
    """The promise, or the state that was never reached."""


def hunt(name: str, first_seed: int, seeds: int, fidelity: Fidelity = "objects") -> Verdict:
    """Run seeds with a bug until it is caught."""
    says = MUTANTS[name].says
    reached: dict[str, None] = {}
    for count, seed in enumerate(range(first_seed, first_seed + seeds), 1):
        result = run(draw_spec(seed, fidelity=fidelity, mutant=name))
        if result.check:
            return Verdict(
                mutant=name, says=says, caught=True, runs=count, seed=seed, check=result.check
            )
        reached.update(dict.fromkeys(result.reached))
    for seed in range(first_seed, first_seed + seeds):
        for state in run(draw_spec(seed, fidelity=fidelity)).reached:
            if state not in reached:
                check = f"never: {state}"
                return Verdict(mutant=name, says=says, caught=True, runs=seeds, check=check)
    return Verdict(mutant=name, says=says, caught=False, runs=seeds)


def score(
    names: Sequence[str], *, first_seed: int = 0, seeds: int = SEEDS, workers: int = 0
) -> Generator[Verdict, None, None]:
    """Hunt bugs in processes of their own; verdicts come as they are reached."""
    function = partial(hunt, first_seed=first_seed, seeds=seeds)
    with closing(make_local_engine(workers).map_tasks(function, names)) as attempts:
        for attempt in attempts:
            if isinstance(attempt.result, Failure):
                raise SimulationError(f"mutant {attempt.item}: {attempt.result.message}")
            yield attempt.result
