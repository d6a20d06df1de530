"""What a plot shows: lines, bands and distributions, picked from records; nothing is drawn here."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from simulations.reports.statistics import compute_interval, quantile
from simulations.results import Number, Record, Value
from simulations.scenarios.errors import BadScenario
from simulations.scenarios.theory import Formula, get_formula

if TYPE_CHECKING:
    from simulations.scenarios.schema import Plot

LINES_MAX: Final = 8
"""Lines in one picture; more than the palette has colours are told apart by nobody."""
POINTS_MAX: Final = 160
"""Points of a line over time, and steps of a distribution."""
BAND: Final = (0.1, 0.9)
"""Quantiles between which four of five runs lie."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a picture, with a band around it where there is one."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    is_theory: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is drawn."""

    kind: str
    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    log_x: bool = False
    log_y: bool = False
    y_low: float | None = None
    """Where the y axis begins; None for a sensible place."""
    note: str = ""
    """How to read it: what the band is, how many runs it rests on, what was left out."""


def make_picture(plot: Plot, records: Sequence[Record]) -> Picture:
    """Pick what a plot shows; runs without an outcome show nothing."""
    records = [record for record in records if _is_meant(plot, record)]
    groups = _group(records, plot.group_by)
    shown = list(groups.items())[:LINES_MAX]
    make = {"curve": _make_curve, "cdf": _make_distribution, "series": _make_series}[plot.kind]
    lines = [line for label, group in shown if (line := make(plot, label, group)) is not None]
    note = _describe(plot, records, left_out=len(groups) - len(shown))
    measured = tuple(lines)
    for name in plot.theories:
        try:
            lines += _make_theory(plot, shown, measured, get_formula(name))
        except BadScenario as error:
            note = f"{note}; {error.message}"
    return Picture(
        kind=plot.kind,
        title=plot.title,
        x_label=plot.x_label,
        y_label=plot.y_label,
        lines=tuple(lines),
        log_x=plot.log_x,
        log_y=plot.log_y,
        y_low=plot.y_low,
        note=note,
    )


def _is_meant(plot: Plot, record: Record) -> bool:
    return all(record.task.parameters.get(name) == value for name, value in plot.where.items())


def _group(records: Sequence[Record], parameter: str | None) -> dict[str, list[Record]]:
    """Records with an outcome by the value of a parameter, ascending; one group without one."""
    done = [record for record in records if record.outcome is not None]
    if parameter is None:
        return {"": done} if done else {}
    values = {json.dumps(record.task.parameters.get(parameter)): record for record in done}
    ordered = sorted(values, key=lambda text: _rank(json.loads(text)))
    return {
        f"{parameter} {_show(json.loads(text))}": [
            record for record in done if json.dumps(record.task.parameters.get(parameter)) == text
        ]
        for text in ordered
    }


def _rank(value: Value | None) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def _show(value: Value | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe(plot: Plot, records: Sequence[Record], *, left_out: int) -> str:
    runs = sum(record.outcome is not None for record in records)
    how = {
        "curve": "median; the band is its bootstrap 95 % confidence interval",
        "cdf": "all values of all runs together",
        "series": "median of the runs; the band holds four of five of them",
    }[plot.kind]
    runs_of = "".join(f" with {name} {_show(value)}" for name, value in plot.where.items())
    more = f"; {left_out} more lines left out" if left_out else ""
    return f"{runs} runs{runs_of}; {how}{more}"


# --- the three kinds -------------------------------------------------------------------------------


def _make_curve(plot: Plot, label: str, records: Sequence[Record]) -> Line | None:
    found: dict[float, list[float]] = {}
    for record in records:
        x = record.task.parameters.get(plot.x or "")
        y = record.outcome.metrics.get(plot.y) if record.outcome is not None else None
        if isinstance(x, int | float) and y is not None:
            found.setdefault(float(x), []).append(float(y))
    if not found:
        return None
    xs = sorted(found)
    intervals = [compute_interval(found[x]) for x in xs]
    return Line(
        label or "simulated",
        tuple(xs),
        tuple(interval.median for interval in intervals),
        tuple(interval.low for interval in intervals),
        tuple(interval.high for interval in intervals),
    )


def _make_distribution(plot: Plot, label: str, records: Sequence[Record]) -> Line | None:
    values = sorted(
        float(value)
        for record in records
        if record.outcome is not None
        for value in record.outcome.samples.get(plot.y, ())
    )
    if not values:
        return None
    count = min(len(values), POINTS_MAX)
    # The k-th of n ordered values stands at (k + 1) / n: thinned out, the ends stay where they are.
    places = [round(step * (len(values) - 1) / max(1, count - 1)) for step in range(count)]
    xs = [values[place] for place in places]
    ys = [(place + 1) / len(values) for place in places]
    return Line(label or plot.y, (xs[0], *xs), (0.0, *ys))


def _make_series(plot: Plot, label: str, records: Sequence[Record]) -> Line | None:
    runs = [
        points
        for record in records
        if record.outcome is not None and (points := record.outcome.series.get(plot.y))
    ]
    if not runs:
        return None
    xs = sorted({float(x): None for points in runs for x, _ in points})
    if len(xs) > POINTS_MAX:
        xs = [xs[round(step * (len(xs) - 1) / (POINTS_MAX - 1))] for step in range(POINTS_MAX)]
    columns = list(zip(*(_sample(points, xs) for points in runs), strict=True))
    return Line(
        label or plot.y,
        tuple(xs),
        tuple(quantile(column, 0.5) for column in columns),
        tuple(quantile(column, BAND[0]) for column in columns),
        tuple(quantile(column, BAND[1]) for column in columns),
    )


def _sample(points: Sequence[tuple[Number, Number]], xs: Sequence[float]) -> list[float]:
    """A run's values at these places: what was last measured holds until the next time."""
    places = [float(x) for x, _ in points]
    return [float(points[max(0, bisect_right(places, x) - 1)][1]) for x in xs]


def _make_theory(
    plot: Plot,
    groups: Sequence[tuple[str, Sequence[Record]]],
    measured: Sequence[Line],
    formula: Formula,
) -> list[Line]:
    """The formula wherever something was measured; once where it is alike for several groups."""
    lines: list[Line] = []
    xs = tuple(sorted({x: None for line in measured for x in line.xs}))
    if plot.kind == "cdf" or not xs:
        return lines
    for label, records in groups:
        parameters = dict(records[0].task.parameters)
        ys = tuple(_evaluate(formula, plot, parameters, x) for x in xs)
        if not any(line.ys == ys for line in lines):
            lines.append(Line(label, xs, ys, is_theory=True))
    name = f"{formula.label} ({formula.source})"
    return [
        replace(line, label=f"{name}, {line.label}" if len(lines) > 1 else name) for line in lines
    ]


def _evaluate(formula: Formula, plot: Plot, parameters: Mapping[str, Value], x: float) -> float:
    here = {**parameters, plot.x: x} if plot.x is not None else parameters
    return formula.evaluate(here, x)
