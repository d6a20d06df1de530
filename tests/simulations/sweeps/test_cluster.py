"""Dask gives what every other engine gives; a worker that dies does not change it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from simulations.errors import SimulationError
from simulations.results import compute_digest
from simulations.sweeps import cluster
from simulations.sweeps.cluster import Cluster
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
