"""Who stays away longer has less, and steady hosts keep what is published."""

from __future__ import annotations

from typing import Any

from simulations.scenarios.measures.churn import LOOKS, Parameters, run

QUICK: dict[str, Any] = {"nodes": 6, "hour_ms": 500, "duration_ms": 60_000, "interval_ms": 500}


def test_hosts_are_up_as_much_as_was_asked_for():
    rare, often = (
        run(Parameters(**QUICK, availability=share, sessions="lognormal"), 1).metrics
        for share in (0.2, 0.9)
    )
    assert rare["up"] < 0.5
    assert often["up"] > 0.7
    assert rare["published"] < often["published"]
    assert often["coverage"] > 0.9
    assert often["catch_ups"] > 0


def test_steady_hosts_keep_everything_available():
    outcome = run(Parameters(**QUICK, availability=0.1, steady_percent=50), 2)
    assert outcome.metrics["vertex_availability"] == 1
    assert outcome.metrics["up"] >= 0.5
    assert len(outcome.series["coverage_by_ms"]) <= LOOKS


def test_without_leaving_nothing_is_missed():
    metrics = run(Parameters(**QUICK, steady_percent=100), 3).metrics
    assert metrics["returns"] == metrics["catch_ups_unfinished"] == 0
    assert metrics["up"] == 1
    assert "catch_up_p50_ms" not in metrics


def test_a_mesh_that_publishes_nothing_has_nothing_to_show():
    outcome = run(Parameters(nodes=2, duration_ms=1_000, interval_ms=2_000), 4)
    assert "coverage" not in outcome.metrics
    assert outcome.series["up_by_ms"] == []


def test_a_mesh_of_nobody_covers_nothing():
    found = [
        run(
            Parameters(nodes=2, availability=0.3, hour_ms=500, duration_ms=20_000, interval_ms=50),
            seed,
        )
        for seed in range(4)
    ]
    assert any(0.0 in [up for _, up in one.series["up_by_ms"]] for one in found)
    for one in found:
        assert len(one.series["coverage_by_ms"]) <= len(one.series["available_by_ms"])
