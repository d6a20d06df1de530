"""The mutation score: how many seeded bugs a campaign finds, and with how many runs.

A bug is caught when a run breaks a promise, when a run does not repeat in another process, or when
runs with it never reach a state that several of the same runs reach without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Final

import msgspec

from simulations.consensus import spec as committees
from simulations.errors import SimulationError
from simulations.fidelity import Fidelity
from simulations.folding import spec as markets
from simulations.fuzzing.market import run as run_market
from simulations.fuzzing.mutants import MUTANTS, Mutant
from simulations.fuzzing.order import run as run_committee
from simulations.fuzzing.repetition import find_difference
from simulations.fuzzing.run import run
from simulations.fuzzing.spec import Spec, draw_spec
from simulations.sweeps.choice import make_local_engine
from simulations.sweeps.engines import Failure

SEEDS: Final = 60
COMMITTEES_PER_MESH: Final = 3
"""So many more runs are spent on a bug of consensus or of the market: they cost less than a mesh."""
MISFITS: Final = ("raised-AttributeError", "raised-NameError", "raised-TypeError")
"""What a seeded bug raises that no longer fits the code around it; that must not count as caught."""
LOOK_EVERY: Final = 20
"""Runs between two looks at what the same runs reach without the bug."""
OWED_MIN: Final = 5
"""A state that fewer of those runs reach may be missed by chance."""
REPEATABLE: Final = "repeatable"
"""The promise that a run depends on its spec alone."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one bug."""

    mutant: str
    says: str
    caught: bool
    runs: int
    """Until it was caught, or all of them."""
    seed: int = -1
    """The run that showed it."""
    check: str = ""
    """The promise that was broken, or the state that was never reached."""


def hunt(name: str, first_seed: int, seeds: int, fidelity: Fidelity = "objects") -> Verdict:
    """Run seeds with a bug until it is caught."""
    mutant = MUTANTS[name]
    small_runs = range(first_seed, first_seed + seeds * COMMITTEES_PER_MESH)
    if mutant.shown_by == "order":
        return _hunt_by_order(mutant, small_runs)
    if mutant.shown_by == "market":
        return _hunt_by_market(mutant, small_runs)
    specs = [
        draw_spec(seed, fidelity=fidelity, mutant=name)
        for seed in range(first_seed, first_seed + seeds)
    ]
    if mutant.shown_by == "repetition":
        return _hunt_by_repetition(mutant, specs)
    return _hunt_by_runs(mutant, specs)


def _hunt_by_repetition(mutant: Mutant, specs: Sequence[Spec]) -> Verdict:
    for count, spec in enumerate(specs, 1):
        if find_difference(spec):
            return _catch(mutant, count, spec.seed, REPEATABLE)
    return _miss(mutant, len(specs))


def _hunt_by_runs(mutant: Mutant, specs: Sequence[Spec]) -> Verdict:
    reached: dict[str, None] = {}
    owed: Counter[str] = Counter()
    for start in range(0, len(specs), LOOK_EVERY):
        block = specs[start : start + LOOK_EVERY]
        for count, spec in enumerate(block, start + 1):
            result = run(spec)
            _refuse_misfit(mutant, result.check, result.message)
            if result.check:
                return _catch(mutant, count, spec.seed, result.check)
            reached.update(dict.fromkeys(result.reached))
        for spec in block:
            owed.update(run(msgspec.structs.replace(spec, mutant="")).reached)
        for state, runs in owed.items():
            if runs >= OWED_MIN and state not in reached:
                return _catch(mutant, start + len(block), block[0].seed, f"never: {state}")
    return _miss(mutant, len(specs))


def _hunt_by_order(mutant: Mutant, seeds: Sequence[int]) -> Verdict:
    for count, seed in enumerate(seeds, 1):
        spec = committees.draw_spec(seed, mutant=mutant.name)
        result = run_committee(spec)
        _refuse_misfit(mutant, result.check, result.message)
        if result.check:
            return _catch(mutant, count, seed, result.check)
    return _miss(mutant, len(seeds))


def _hunt_by_market(mutant: Mutant, seeds: Sequence[int]) -> Verdict:
    for count, seed in enumerate(seeds, 1):
        result = run_market(markets.draw_spec(seed, mutant=mutant.name))
        _refuse_misfit(mutant, result.check, result.message)
        if result.check:
            return _catch(mutant, count, seed, result.check)
    return _miss(mutant, len(seeds))


def _refuse_misfit(mutant: Mutant, check: str, message: str) -> None:
    if check in MISFITS:
        raise SimulationError(
            f"mutant {mutant.name} breaks itself and no promise: {message}",
            hint="the code it changes has changed: fit it anew",
        )


def _miss(mutant: Mutant, runs: int) -> Verdict:
    return Verdict(mutant=mutant.name, says=mutant.says, caught=False, runs=runs)


def _catch(mutant: Mutant, runs: int, seed: int, check: str) -> Verdict:
    return Verdict(
        mutant=mutant.name, says=mutant.says, caught=True, runs=runs, seed=seed, check=check
    )


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
