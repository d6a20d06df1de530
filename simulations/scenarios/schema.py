"""What a scenario holds, and the tasks it comes to."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulations.results import Task, Value
from simulations.scenarios.errors import BadScenario, explain, suggest
from simulations.scenarios.measures import Measure, get_measure
from simulations.scenarios.theory import get_formula

TASKS_MAX: Final = 1_000_000
_Text = Annotated[str, Field(min_length=1, max_length=400)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Choices = Annotated[list[Value], Field(min_length=1, max_length=1_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Plot(_Strict):
    """One picture of a scenario's results."""

    kind: Literal["curve", "cdf", "series"]
    """A metric over a parameter; a distribution of samples; values over time."""
    y: _Name
    """The metric, sample or series."""
    x: _Name | None = None
    """The parameter of a curve."""
    group_by: _Name | None = None
    """A parameter with a line for each of its values."""
    where: dict[str, Value] = Field(default_factory=dict)
    """Only runs with these values of parameters; of all others the picture says nothing."""
    title: _Text
    x_label: _Text
    y_label: _Text
    log_x: bool = False
    log_y: bool = False
    y_low: float | None = None
    """Where the y axis begins; by default at 0, or below what is drawn."""
    theory: _Name | Annotated[list[_Name], Field(max_length=4)] = Field(default_factory=list)
    """Published formulas to draw beside it; see `simulations.scenarios.theory`."""

    @model_validator(mode="after")
    def _check(self) -> Plot:
        if (self.kind == "curve") != (self.x is not None):
            raise ValueError("a curve needs x, the parameter it is drawn over; others have none")
        try:
            for name in self.theories:
                get_formula(name)
        except BadScenario as error:
            raise ValueError(error.message) from None
        return self

    @property
    def theories(self) -> Sequence[str]:
        """The names of all formulas."""
        return [self.theory] if isinstance(self.theory, str) else self.theory


class Scenario(_Strict):
    """A question, the measurement that answers it, and how the answer is drawn."""

    name: _Name
    title: _Text
    question: _Text
    """What a researcher learns."""
    measure: _Name
    parameters: dict[str, Value] = Field(default_factory=dict)
    """Where the measurement's own defaults do not fit."""
    grid: dict[str, _Choices] = Field(default_factory=dict)
    """Parameters that are varied, each with each."""
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 5
    """How many, unless told otherwise."""
    plots: Annotated[list[Plot], Field(max_length=32)] = Field(default_factory=list)

    def tasks(
        self,
        seeds: Sequence[int],
        overrides: Mapping[str, Value] | None = None,
        grid: bool = True,  # noqa: FBT001, FBT002 - one of two presentations, named at every call
    ) -> list[Task]:
        """What there is to run: every seed at one point (the defaults), or all over the grid.

        An override takes its parameter out of the grid; the text `[1, 2, 3]` puts these values into
        it instead. Other texts are read as TOML values where they are any. Raises `BadScenario`.
        """
        measure = self._find_measure()
        fixed, varied = self._split(measure, overrides or {})
        axes = {**self.grid, **varied} if grid else varied
        axes = {name: choices for name, choices in axes.items() if name not in fixed}
        count = len(seeds)
        for choices in axes.values():
            count *= len(choices)
        if count > TASKS_MAX:
            raise BadScenario(f"{self.name}: {count:,} runs are more than {TASKS_MAX:,}")
        return [
            Task(scenario=self.name, measure=self.measure, parameters=point, seed=seed)
            for choice in itertools.product(*axes.values())
            for point in [
                self._complete(measure, {**fixed, **dict(zip(axes, choice, strict=True))})
            ]
            for seed in seeds
        ]

    def check(self) -> None:
        """Refuse unknown measures, parameters, and plots over them. Raises `BadScenario`."""
        measure = self._find_measure()
        known = measure.parameters.model_fields
        for section, names in (("parameters", self.parameters), ("grid", self.grid)):
            for name in names:
                if name not in known:
                    raise BadScenario(
                        f"{section}.{name}: measure {self.measure!r} has no such parameter"
                        f"{suggest(name, known)}"
                    )
        for number, plot in enumerate(self.plots):
            used = {"x": plot.x, "group_by": plot.group_by}
            used |= {f"where.{name}": name for name in plot.where}
            for key, parameter in used.items():
                if parameter is not None and parameter not in known:
                    raise BadScenario(
                        f"plots.{number}.{key}: measure {self.measure!r} has no parameter "
                        f"{parameter!r}{suggest(parameter, known)}"
                    )
        self.tasks(range(1))

    def _find_measure(self) -> Measure:
        try:
            return get_measure(self.measure)
        except BadScenario as error:
            raise BadScenario(f"measure: {error.message}") from None

    def _split(
        self, measure: Measure, overrides: Mapping[str, Value]
    ) -> tuple[dict[str, Value], dict[str, list[Value]]]:
        fixed: dict[str, Value] = {}
        varied: dict[str, list[Value]] = {}
        for name, value in overrides.items():
            if name not in measure.parameters.model_fields:
                raise BadScenario(
                    f"{name}: measure {self.measure!r} has no such parameter"
                    f"{suggest(name, measure.parameters.model_fields)}"
                )
            read = read_value(value) if isinstance(value, str) else value
            if isinstance(read, list):
                varied[name] = read
            else:
                fixed[name] = read
        return fixed, varied

    def _complete(self, measure: Measure, chosen: Mapping[str, Value]) -> dict[str, Value]:
        known = measure.parameters.model_fields
        try:
            checked = measure.parameters.model_validate({**self.parameters, **chosen})
        except ValidationError as error:
            raise BadScenario(f"{self.name}: {explain(error, known)}") from None
        return dict(checked.model_dump())


def read_value(text: str) -> Value | list[Value]:
    """What a text of a command line means: a TOML number, boolean or list; else the text."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(value, list) and value and all(isinstance(one, Value) for one in value):
        return list(value)
    return value if isinstance(value, Value) else text
