"""Engines by their names."""

from __future__ import annotations

import pytest

from simulations.errors import SimulationError
from simulations.sweeps.choice import (
    WORKERS_MAX,
    default_workers,
    make_engine,
    make_local_engine,
)
from simulations.sweeps.cluster import Cluster
from simulations.sweeps.engines import Serial
from simulations.sweeps.processes import Processes


def test_engines_have_names():
    assert isinstance(make_engine("serial"), Serial)
    assert isinstance(make_engine("processes"), Processes)
    assert isinstance(make_engine("dask"), Cluster)
    assert isinstance(make_local_engine(1), Serial)
    assert isinstance(make_local_engine(2), Processes)
    assert default_workers() >= 1


@pytest.mark.parametrize("workers", [-1, WORKERS_MAX + 1])
def test_make_engine_refuses_impossible_numbers_of_workers(workers: int):
    with pytest.raises(SimulationError, match="workers are not possible"):
        make_engine("processes", workers)


def test_make_engine_refuses_a_scheduler_it_has_no_use_for():
    with pytest.raises(SimulationError, match="no scheduler"):
        make_engine("serial", scheduler="tcp://127.0.0.1:8786")
