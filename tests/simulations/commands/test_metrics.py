"""The short table: medians at every point, and no more than fits."""

from __future__ import annotations

from simulations.commands.metrics import ROWS_MAX, WIDTH_MAX, Metrics, fit, show, tabulate
from simulations.results import Outcome, Record, Task
from simulations.scenarios.catalogue import load

REACH = load("reach")


def make_record(fanout: int, seed: int, coverage: float | None) -> Record:
    task = Task(
        scenario="reach", measure="push", parameters={"nodes": 9, "fanout": fanout}, seed=seed
    )
    if coverage is None:
        return Record(key=str(seed), task=task, error="broken")
    outcome = Outcome(world={}, metrics={"last_ms": 7, "coverage": coverage})
    return Record(key=str(seed), task=task, outcome=outcome)


def test_medians_are_over_seeds_and_what_is_drawn_comes_first():
    records = [
        make_record(10, 0, 0.9),
        make_record(2, 0, 0.1),
        make_record(2, 1, 0.4),
        make_record(2, 2, 0.2),
        make_record(2, 3, None),
    ]
    assert tabulate(records, REACH) == (
        ("fanout", "coverage", "last_ms"),
        [(2, 0.2, 7), (10, 0.9, 7)],
    )


def test_a_single_point_varies_nothing():
    assert tabulate([make_record(2, 0, 0.1)], REACH) == (("coverage", "last_ms"), [(0.1, 7)])
    assert tabulate([], REACH) == ((), [])


def test_a_table_is_cut_to_the_screen():
    wide = Metrics(tuple(f"metric_{number:02d}" for number in range(30)), [(1,) * 30] * 40)
    columns, rows, left = fit(wide)
    assert 1 < len(columns) < 30
    assert sum(len(name) + 3 for name in columns) <= WIDTH_MAX
    assert len(rows) == ROWS_MAX
    assert left == 40 - ROWS_MAX
    assert all(len(row) == len(columns) for row in rows)


def test_values_are_short():
    assert [show(value) for value in (0.123456, 3, True, "a")] == ["0.1235", "3", "True", "a"]
