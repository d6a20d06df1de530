"""Many runs on all cores; one that raises, or takes its process down, is a violation like any other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import TypeVar

from simulations.sweeps.choice import make_local_engine
from simulations.sweeps.engines import Failure

SpecT = TypeVar("SpecT")
ResultT = TypeVar("ResultT")


def carry_out(
    run: Callable[[SpecT], ResultT],
    specs: Iterable[SpecT],
    workers: int,
    make_raised: Callable[[SpecT, Failure], ResultT],
) -> Generator[ResultT, None, None]:
    """Run specs in processes of their own, and yield results as they come; 1 runs them here."""
    with closing(make_local_engine(workers).map_tasks(run, specs)) as attempts:
        for attempt in attempts:
            if isinstance(attempt.result, Failure):
                yield make_raised(attempt.item, attempt.result)
            else:
                yield attempt.result
