"""Worker processes: they die, refuse to start, and are ended, and no item is lost by it."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path

import pytest

from simulations.errors import SimulationError
from simulations.results import Record, Task
from simulations.sweeps import processes
from simulations.sweeps.engines import Failure
from simulations.sweeps.processes import Processes
from tests.support import sweep_tasks


def run(function, tasks: list[Task], workers: int = 2) -> dict[int, Record | Failure]:
    return {
        one.item.seed: one.result for one in Processes(workers).map_tasks(function, iter(tasks))
    }


def test_processes_give_what_the_function_gives():
    tasks = sweep_tasks.make_tasks(5)
    found = run(sweep_tasks.square, tasks)
    assert [found[task.seed] for task in tasks] == [sweep_tasks.square(task) for task in tasks]
    assert run(sweep_tasks.square, []) == {}


def test_an_item_whose_process_was_killed_is_run_again(tmp_path: Path):
    tasks = sweep_tasks.make_tasks(6)
    found = run(partial(sweep_tasks.die_once_on_seed_3, tmp_path), tasks)
    assert (tmp_path / "died").exists()
    assert [found[task.seed] for task in tasks] == [sweep_tasks.square(task) for task in tasks]


def test_an_item_that_kills_its_process_twice_fails_alone():
    tasks = sweep_tasks.make_tasks(6)
    found = run(sweep_tasks.die_on_seed_3, tasks)
    assert found.pop(3) == Failure("its process died 2 times (signal 9)")
    assert sorted(found) == [0, 1, 2, 4, 5]
    assert all(isinstance(one, Record) for one in found.values())


def test_a_result_that_cannot_be_sent_fails_alone():
    (found,) = Processes(1).map_tasks(sweep_tasks.answer_what_cannot_be_sent, [1])
    assert isinstance(found.result, Failure)
    assert "its result cannot be sent" in found.result.message


def test_closing_ends_what_runs():
    before = multiprocessing.active_children()
    attempts = Processes(2).map_tasks(sweep_tasks.hang_from_seed_4, sweep_tasks.make_tasks(9))
    assert {next(attempts).item.seed for _ in range(4)} == {0, 1, 2, 3}
    assert len(multiprocessing.active_children()) == len(before) + 2
    attempts.close()
    assert multiprocessing.active_children() == before


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processes, "END_S", 0.0)
    attempts = Processes(1).map_tasks(sweep_tasks.square, sweep_tasks.make_tasks(1))
    assert len(list(attempts)) == 1


def test_processes_that_do_not_start_are_an_error(monkeypatch: pytest.MonkeyPatch, capfd):
    monkeypatch.setattr(processes, "_serve", _not_there)
    with pytest.raises(SimulationError, match="do not start"):
        run(sweep_tasks.square, sweep_tasks.make_tasks(3))
    assert "Error" in capfd.readouterr().err


def _not_there(*_arguments: object) -> None:
    raise RuntimeError("this process does not serve")
