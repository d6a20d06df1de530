"""What engines share: settings, failures in one line, and the engine without processes."""

from __future__ import annotations

import pytest

from simulations.errors import SimulationError
from simulations.sweeps.cluster import Cluster
from simulations.sweeps.engines import (
    MESSAGE_CHARS_MAX,
    WORKERS_MAX,
    Failure,
    Serial,
    attempt,
    default_workers,
    describe,
    make_engine,
    make_local_engine,
)
from simulations.sweeps.processes import Processes


def halve(number: int) -> float:
    return 1 / number


def test_serial_goes_on_after_a_failure():
    attempts = list(Serial().map_tasks(halve, [2, 0, 4]))
    assert [one.item for one in attempts] == [2, 0, 4]
    assert [one.result for one in attempts] == [
        0.5,
        Failure("ZeroDivisionError: division by zero"),
        0.25,
    ]


def test_attempt_lets_an_interrupt_through():
    def interrupt(_item: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt, 1)


def test_describe_is_one_bounded_line():
    assert describe(ValueError("a\n b")) == "ValueError: a b"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError("a" * 9_999))) == MESSAGE_CHARS_MAX


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
