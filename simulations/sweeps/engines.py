"""How a function is applied to many items: one interface, and what every engine shares.

An engine yields an `Attempt` for every item, in any order. A function that raises, and one that
takes its process down, is an attempt that failed, and the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

import msgspec

from simulations.errors import SimulationError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

EngineName = Literal["serial", "processes", "dask"]
ENGINES: Final[tuple[EngineName, ...]] = ("serial", "processes", "dask")
WORKERS_MAX: Final = 4_096
MESSAGE_CHARS_MAX: Final = 500
DEATHS_MAX: Final = 2
"""So many workers die over an item before it is given up: one death may be the machine's fault."""


class Failure(msgspec.Struct, frozen=True):
    """Why an item has no result, in one line."""

    message: str


@dataclass(frozen=True, slots=True)
class Attempt(Generic[ItemT, ResultT]):
    """An item and what came of it."""

    item: ItemT
    result: ResultT | Failure


class Engine(Protocol):
    """Applies a function to items. Function, items and results must be picklable."""

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """Yield an attempt for each item, as they end. Closing the iterator ends all work at once."""
        ...


class Serial:
    """One item after the other, in this process: for debuggers and for small machines."""

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """See `Engine`."""
        for item in items:
            yield Attempt(item, attempt(function, item))


def attempt(function: Callable[[ItemT], ResultT], item: ItemT) -> ResultT | Failure:
    """Apply a function; what it raises becomes a failure."""
    try:
        return function(item)
    except Exception as error:  # noqa: BLE001 - whatever one run raises, the others go on
        return Failure(describe(error))


def describe(error: BaseException) -> str:
    """What was raised, in one line."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:MESSAGE_CHARS_MAX]


def default_workers() -> int:
    """One for each core this process may use."""
    return len(os.sched_getaffinity(0))


def make_engine(name: EngineName, workers: int = 0, scheduler: str = "") -> Engine:
    """Answer the engine of a name; 0 workers are as many as this process has cores.

    Raises `SimulationError` if the settings contradict themselves or an extra is missing.
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
