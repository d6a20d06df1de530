"""Runs one task, whatever comes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from dag.errors import MeshError
from simulations.results import Record, Task
from simulations.scenarios.errors import BadScenario, explain
from simulations.scenarios.measures import get_measure

if TYPE_CHECKING:
    from simulations.results import Outcome

ERROR_CHARS_MAX: Final = 500


def execute(task: Task) -> Record:
    """Run a task; what it raises is recorded as one line. Equal tasks give equal records."""
    try:
        return Record(key=task.key, task=task, outcome=run(task))
    except MeshError as error:
        line = f"{error.code}: {error.message}"
    except Exception as error:  # noqa: BLE001 - measurements run anything: each raise is a finding
        line = f"{type(error).__name__}: {error}"
    return Record(key=task.key, task=task, error=" ".join(line.split())[:ERROR_CHARS_MAX])


def run(task: Task) -> Outcome:
    """Run a task. Raises what the measurement raises, and `BadScenario` for what is no task."""
    measure = get_measure(task.measure)
    try:
        parameters = measure.parameters.model_validate(task.parameters)
    except ValidationError as error:
        raise BadScenario(explain(error, measure.parameters.model_fields)) from None
    return measure.run(parameters, task.seed)
