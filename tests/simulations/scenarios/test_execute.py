"""A task always comes to a record, and equal tasks to equal ones."""

from __future__ import annotations

import msgspec
import pytest

from simulations.results import Outcome, Task
from simulations.scenarios import execute as module
from simulations.scenarios.catalogue import load
from simulations.scenarios.errors import BadScenario
from simulations.scenarios.execute import execute
from simulations.scenarios.measures import Measure, get_measure
from simulations.scenarios.networks import WorldParameters

TASK = load("reach").tasks([3], {"nodes": 60}, grid=False)[0]


def test_equal_tasks_have_equal_records():
    assert execute(TASK).encode() == execute(TASK).encode()
    other = msgspec.structs.replace(TASK, seed=4)
    assert execute(other).digest != execute(TASK).digest


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"measure": "none"}, "bad_scenario: there is no measure 'none'; known are byzantine,"),
        ({"parameters": {"nodes": 1}}, "bad_scenario: nodes: input should be greater than or"),
        ({"parameters": {"node": 1}}, "bad_scenario: node: there is no such key; did you mean"),
    ],
)
def test_what_is_no_task_is_recorded(change: dict, error: str):
    task = msgspec.structs.replace(TASK, **change)
    record = execute(task)
    assert record.error.startswith(error)
    assert record.outcome is None
    assert record.task == task
    assert record.key == task.key


def test_whatever_a_measure_raises_is_one_line(monkeypatch: pytest.MonkeyPatch):
    def fail(parameters: WorldParameters, seed: int) -> Outcome:
        raise ZeroDivisionError(f"seed\n  {seed}" + "!" * 1_000)

    monkeypatch.setattr(module, "get_measure", lambda name: Measure(name, WorldParameters, fail))
    record = execute(Task(scenario="s", measure="m", parameters={}, seed=5))
    assert record.error.startswith("ZeroDivisionError: seed 5!!!")
    assert len(record.error) == module.ERROR_CHARS_MAX


def test_interruption_is_no_finding(monkeypatch: pytest.MonkeyPatch):
    def interrupt(parameters: WorldParameters, seed: int) -> Outcome:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        module, "get_measure", lambda name: Measure(name, WorldParameters, interrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        execute(Task(scenario="s", measure="m", parameters={}, seed=5))


def test_unknown_measure_is_refused():
    with pytest.raises(BadScenario, match="did you mean 'flood'"):
        get_measure("floood")
