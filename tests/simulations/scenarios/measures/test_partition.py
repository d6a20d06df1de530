"""Both sides get exactly what they lacked."""

from __future__ import annotations

import pytest

from simulations.scenarios.measures.partition import Parameters, run


@pytest.mark.parametrize(("percent", "smaller"), [(50, 2), (25, 1), (1, 1)])
def test_what_was_missed_is_what_the_other_side_published(percent: int, smaller: int):
    parameters = Parameters(nodes=4, partition_ms=8_000, smaller_percent=percent)
    outcome = run(parameters, 1)
    # 16 vertices, the last of them too late for any host to have them before the healing: each is
    # missed by the whole other side.
    missing = outcome.metrics["vertices_missing"]
    sides = [smaller, 4 - smaller]
    assert 16 * min(sides) <= missing <= 16 * max(sides) + 4
    assert outcome.metrics["copies_per_missing"] >= 1
    assert outcome.metrics["max_ms"] <= outcome.metrics["recovery_ms"] + 10
    assert outcome.metrics["reconnected_ms"] <= outcome.metrics["recovery_ms"]
    assert outcome.series["coverage_by_ms"][-1][1] == 1


def test_nothing_published_is_nothing_missed():
    metrics = run(Parameters(nodes=3, partition_ms=2_000, interval_ms=10_000), 1).metrics
    assert metrics["vertices_missing"] == metrics["copies_per_missing"] == 0
    assert metrics["bytes_per_missing"] == 0
    assert "p50_ms" not in metrics
