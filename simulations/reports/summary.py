"""The table of a report: every point of a grid, and the medians of what was measured there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from simulations.reports.statistics import Interval, compute_interval
from simulations.reports.tables import sort_records
from simulations.results import Record, Value


@dataclass(frozen=True, slots=True)
class Point:
    """Runs that differ in nothing but their seed."""

    parameters: dict[str, Value]
    """Those that differ between points."""
    seeds: tuple[int, ...]
    """Of runs with an outcome."""
    failed: int
    metrics: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class Summary:
    """All points, and what they have in common."""

    points: tuple[Point, ...]
    varied: tuple[str, ...]
    fixed: dict[str, Value]
    metrics: tuple[str, ...]
    worlds: dict[str, list[Value]]
    """What worlds said of themselves: the distinct values, in order of appearance."""


def summarise(records: Sequence[Record]) -> Summary:
    """Group runs by their parameters."""
    ordered = sort_records(records)
    names = sorted({name: None for record in ordered for name in record.task.parameters})
    values = {
        name: {json.dumps(record.task.parameters.get(name)): None for record in ordered}
        for name in names
    }
    varied = tuple(name for name in names if len(values[name]) > 1)
    groups: dict[str, list[Record]] = {}
    for record in ordered:
        place = json.dumps([record.task.parameters.get(name) for name in varied])
        groups.setdefault(place, []).append(record)
    points = tuple(_make_point(group, varied) for group in groups.values())
    return Summary(
        points=points,
        varied=varied,
        fixed={name: json.loads(next(iter(values[name]))) for name in names if name not in varied},
        metrics=tuple(sorted({name: None for point in points for name in point.metrics})),
        worlds=_collect_worlds(ordered),
    )


def _make_point(records: Sequence[Record], varied: Sequence[str]) -> Point:
    found: dict[str, list[float]] = {}
    seeds = []
    for record in records:
        if record.outcome is not None:
            seeds.append(record.task.seed)
            for name, value in record.outcome.metrics.items():
                found.setdefault(name, []).append(float(value))
    parameters = records[0].task.parameters
    return Point(
        parameters={name: parameters[name] for name in varied if name in parameters},
        seeds=tuple(seeds),
        failed=len(records) - len(seeds),
        metrics={name: compute_interval(values) for name, values in sorted(found.items())},
    )


def _collect_worlds(records: Sequence[Record]) -> dict[str, list[Value]]:
    worlds: dict[str, dict[Value, None]] = {}
    for record in records:
        if record.outcome is not None:
            for name, value in record.outcome.world.items():
                worlds.setdefault(name, {})[value] = None
    return {name: list(values) for name, values in worlds.items()}
