"""Dask: workers on this machine by the same path that leads to many machines.

With the address of a scheduler the work goes there (SSH, SLURM, Kubernetes: whatever started it);
its workers need the same sources. Dask itself runs again what a dead worker held.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

from simulations.errors import SimulationError
from simulations.sweeps.engines import (
    DEATHS_MAX,
    Attempt,
    Failure,
    ItemT,
    ResultT,
    attempt,
    describe,
)
from simulations.sweeps.processes import hold_interrupts

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_S: Final = 10


class Cluster:
    """Dask workers: processes on this machine, or those of a scheduler that exists."""

    def __init__(self, workers: int, scheduler: str = "") -> None:
        self._workers = workers
        self._scheduler = scheduler

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """See `Engine`. Raises `SimulationError` without the extra or without a scheduler."""
        try:
            import distributed  # noqa: F401 - heavy, and an extra
        except ImportError as error:
            raise SimulationError(
                "engine dask needs the package distributed",
                hint="pip install 'meshnode[cluster]', or use engine processes",
            ) from error
        opened = _join(self._scheduler) if self._scheduler else _start(self._workers)
        with opened as client:
            try:
                yield from _map(client, function, items)
            except CancelledError as error:
                raise SimulationError(
                    "the scheduler let go of the work", hint="run the same again: it resumes"
                ) from error


@contextmanager
def _join(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SimulationError(
            f"no scheduler answers at {address}: {describe(error)}",
            hint="start one by `dask scheduler`, and give the address it prints",
        ) from error
    with client:
        yield client


@contextmanager
def _start(workers: int) -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with hold_interrupts():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            # A scheduler runs whatever it is sent: others on this machine must not reach it.
            security=True,
            scheduler_kwargs={"allowed_failures": DEATHS_MAX - 1},
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


def _map(
    client: Client, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
) -> Iterator[Attempt[ItemT, ResultT]]:
    from distributed import as_completed

    waiting = iter(items)
    held: dict[Hashable, ItemT] = {}
    futures = as_completed(loop=client.loop)

    def fill() -> None:
        # One for each thread: over what a worker merely queued it cannot have died.
        threads = max(1, sum(client.nthreads().values()))
        for item in islice(waiting, max(0, threads - len(held))):
            future = client.submit(attempt, function, item, pure=False)
            held[future.key] = item
            futures.add(future)

    fill()
    for future in futures:
        yield Attempt(held.pop(future.key), _read(future))
        fill()


def _read(future: Future[ResultT | Failure]) -> ResultT | Failure:
    from distributed import KilledWorker

    error = future.exception()
    if error is None:
        result: ResultT | Failure = future.result()
        return result
    if isinstance(error, KilledWorker):
        return Failure("its process died again and again")
    raise SimulationError(
        f"workers cannot even begin: {describe(error)}",
        hint="every worker needs the same version of this package",
    ) from error
