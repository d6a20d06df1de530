"""Which engine there is by a name, and with how many workers."""

from __future__ import annotations

import os
from typing import Final, Literal

from simulations.errors import SimulationError
from simulations.sweeps.engines import Engine, Serial

EngineName = Literal["serial", "processes", "dask"]
ENGINES: Final[tuple[EngineName, ...]] = ("serial", "processes", "dask")
WORKERS_MAX: Final = 4_096


def default_workers() -> int:
    """One for each core this process may use."""
    return len(os.sched_getaffinity(0))


def make_engine(name: EngineName, workers: int = 0, scheduler: str = "") -> Engine:
    """Answer the engine of a name; 0 workers are as many as this process has cores.

    Raises `SimulationError` if the settings contradict themselves.
    """
    if not 0 <= workers <= WORKERS_MAX:
        raise SimulationError(
            f"{workers} workers are not possible", hint=f"0 (one per core) to {WORKERS_MAX}"
        )
    if scheduler and name != "dask":
        raise SimulationError(
            f"engine {name} has no scheduler", hint="add --engine dask, or leave the address out"
        )
    match name:
        case "serial":
            return Serial()
        case "processes":
            from simulations.sweeps.processes import Processes

            return Processes(workers or default_workers())
        case "dask":
            from simulations.sweeps.cluster import Cluster

            return Cluster(workers or default_workers(), scheduler)


def make_local_engine(workers: int = 0) -> Engine:
    """Processes, or none but this one where a single worker is asked for."""
    count = workers or default_workers()
    return make_engine("serial" if count == 1 else "processes", count)
