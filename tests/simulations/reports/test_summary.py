"""Runs grouped by what they have in common."""

from __future__ import annotations

import statistics

from simulations.reports.summary import summarise
from tests.support.records import make_record, make_records


def test_points_are_runs_that_differ_in_their_seed_only():
    records = [*make_records(), make_record(7, error="x", fanout=4, nodes=10)]
    summary = summarise(records[::-1])
    assert summary.varied == ("fanout", "nodes")
    assert summary.fixed == {}
    assert len(summary.points) == 6
    assert summary.metrics == ("share",)
    assert [point.parameters for point in summary.points][:2] == [
        {"fanout": 1, "nodes": 10},
        {"fanout": 1, "nodes": 100},
    ]
    (failed,) = [point for point in summary.points if point.failed]
    assert (failed.parameters, failed.seeds) == ({"fanout": 4, "nodes": 10}, (0, 1, 2))
    shares = [
        record.outcome.metrics["share"]
        for record in records
        if record.outcome and record.task.parameters == failed.parameters
    ]
    assert failed.metrics["share"].median == statistics.median(shares)
    assert summary.worlds["fidelity"] == ["cached"]


def test_what_is_the_same_in_all_runs_is_fixed():
    summary = summarise([make_record(seed, fanout=3) for seed in range(2)])
    assert (summary.varied, summary.fixed, len(summary.points)) == ((), {"fanout": 3}, 1)
