"""Dask gives what every other engine gives; a worker that dies does not change it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from simulations.errors import SimulationError
from simulations.results import compute_digest
from simulations.sweeps import cluster
from simulations.sweeps.cluster import Cluster
from simulations.sweeps.engines import Failure
from simulations.sweeps.store import Store
from simulations.sweeps.sweep import sweep
from tests.support.sweep_tasks import die_once_on_seed_3, make_tasks, square

TASKS = make_tasks(12)


@pytest.mark.slow
def test_dask_gives_what_others_give_though_a_worker_is_killed(tmp_path: Path):
    function = partial(die_once_on_seed_3, tmp_path)
    summary = sweep(TASKS, function, Cluster(2), Store(tmp_path / "results"))
    assert (tmp_path / "died").exists()
    assert summary.digest == compute_digest([square(task) for task in TASKS])


def test_a_scheduler_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    with pytest.raises(SimulationError, match="no scheduler answers"):
        list(Cluster(1, "tcp://127.0.0.1:1").map_tasks(square, TASKS))


def test_a_missing_extra_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SimulationError, match="needs the package distributed"):
        list(Cluster(1).map_tasks(square, TASKS))


def test_a_scheduler_that_exists_is_used():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp", dashboard_address=None
    ) as existing:
        attempts = list(Cluster(1, existing.scheduler_address).map_tasks(halve, [2, 0, 4]))
    assert {one.item: one.result for one in attempts} == {
        2: 0.5,
        0: Failure("ZeroDivisionError: division by zero"),
        4: 0.25,
    }


def test_a_scheduler_that_lets_go_is_an_error(monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def join(_address: str) -> Iterator[None]:
        yield

    def let_go(*_arguments: object) -> Iterator[object]:
        raise CancelledError
        yield

    monkeypatch.setattr(cluster, "_join", join)
    monkeypatch.setattr(cluster, "_map", let_go)
    with pytest.raises(SimulationError, match="let go of the work"):
        list(Cluster(1, "tcp://10.0.0.1:8786").map_tasks(square, TASKS))


class Failed:
    """A future that ended in an error."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def exception(self) -> BaseException:
        return self._error


def test_an_item_that_kills_workers_fails_alone():
    from distributed import KilledWorker

    future = cast("Any", Failed(KilledWorker("task", cast("Any", None), 1)))
    assert cluster._read(future) == Failure("its process died again and again")


def test_workers_without_the_package_are_an_error():
    future = cast("Any", Failed(ModuleNotFoundError("simulations")))
    with pytest.raises(SimulationError, match="cannot even begin: ModuleNotFoundError"):
        cluster._read(future)


def halve(number: int) -> float:
    return 1 / number
