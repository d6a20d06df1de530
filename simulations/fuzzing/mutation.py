"""The mutation score: how many seeded bugs a campaign finds, and with how many runs.

A bug is caught when a run breaks a promise, or when runs with it never reach a state that the same
runs without it reach.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

import msgspec

from simulations.fidelity import Fidelity
from simulations.fuzzing.campaign import default_workers
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.run import run
from simulations.fuzzing.spec import draw_spec

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
    count = workers or default_workers()
    if count == 1:
        yield from (hunt(name, first_seed, seeds) for name in names)
        return
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        try:
            futures = [pool.submit(hunt, name, first_seed, seeds) for name in names]
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
