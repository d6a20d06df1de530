"""The main figures of many runs as a short table: a row for each point, medians over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from simulations.results import Number, Record, Value

if TYPE_CHECKING:
    from simulations.scenarios.schema import Scenario

WIDTH_MAX: Final = 76
ROWS_MAX: Final = 24
_GAP: Final = 3


class Metrics(NamedTuple):
    """A table of medians."""

    columns: tuple[str, ...]
    """Parameters that were varied, then metrics."""
    rows: list[tuple[Value, ...]]


def tabulate(records: Iterable[Record], scenario: Scenario) -> Metrics:
    """Medians over seeds, at every point; what the scenario draws comes first."""
    points: dict[tuple[tuple[str, Value], ...], list[dict[str, Number]]] = {}
    for record in records:
        if record.outcome is not None:
            point = tuple(sorted(record.task.parameters.items()))
            points.setdefault(point, []).append(record.outcome.metrics)
    varied = _find_varied([dict(point) for point in points], scenario)
    names = dict.fromkeys(name for found in points.values() for one in found for name in one)
    drawn = [plot.y for plot in scenario.plots if plot.y in names]
    metrics = list(dict.fromkeys([*drawn, *names]))
    rows: list[tuple[Value, ...]] = []
    for point, found in points.items():
        medians = [
            median([one[name] for one in found if name in one] or [float("nan")])
            for name in metrics
        ]
        rows.append((*(dict(point)[name] for name in varied), *medians))
    keys = len(varied)
    rows.sort(key=lambda row: [(isinstance(cell, str), cell) for cell in row[:keys]])
    return Metrics((*varied, *metrics), rows)


def fit(table: Metrics) -> tuple[list[str], list[list[str]], int]:
    """The columns and rows that fit a screen as text, and how many rows do not."""
    cells = [[show(cell) for cell in row] for row in table.rows[:ROWS_MAX]]
    columns: list[str] = []
    width = 0
    for number, name in enumerate(table.columns):
        width += max([len(name), *(len(row[number]) for row in cells)]) + _GAP
        if width > WIDTH_MAX and columns:
            break
        columns.append(name)
    return columns, [row[: len(columns)] for row in cells], len(table.rows) - len(cells)


def show(value: Value) -> str:
    """A value as short as it can be read."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.4g}"


def _find_varied(points: Sequence[dict[str, Value]], scenario: Scenario) -> list[str]:
    order = dict.fromkeys([*scenario.grid, *(name for point in points for name in point)])
    return [name for name in order if len({point.get(name) for point in points}) > 1]
