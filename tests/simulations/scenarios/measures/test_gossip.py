"""Real cores deliver everything to everybody."""

from __future__ import annotations

import pytest

from simulations.scenarios.measures.gossip import Parameters, run


@pytest.mark.parametrize("nodes", [2, 5, 20])
def test_everybody_gets_everything(nodes: int):
    outcome = run(Parameters(nodes=nodes, vertices=8, settle_ms=20_000), 1)
    metrics = outcome.metrics
    assert metrics["published"] == 8
    assert metrics["coverage"] == 1
    assert metrics["copies_per_delivery"] >= 1
    assert metrics["copies_per_vertex"] == metrics["copies_per_delivery"] * (nodes - 1)
    assert metrics["p50_ms"] >= 20
    assert outcome.series["coverage_by_ms"][-1][1] == 1
    assert metrics["bytes_per_node"] * nodes == pytest.approx(
        metrics["bytes_per_delivery"] * 8 * (nodes - 1)
    )


def test_distance_is_what_takes_the_time():
    near, far = (
        run(Parameters(nodes=6, vertices=5, network=name), 1).metrics["p50_ms"]
        for name in ("lan", "cloud")
    )
    assert near < 10 < far


def test_nothing_arrives_where_there_is_no_time_for_it():
    outcome = run(Parameters(nodes=3, vertices=1, settle_ms=0), 1)
    assert outcome.metrics["coverage"] == 0
    assert "p50_ms" not in outcome.metrics
    assert outcome.samples["delivery_ms"] == []
