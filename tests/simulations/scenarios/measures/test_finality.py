"""Finality of a committee: exact where nothing is drawn, and honest about what never was final."""

from __future__ import annotations

from typing import Any

import pytest

from simulations.scenarios.measures.finality import Parameters, run


@pytest.mark.parametrize(
    ("members", "leaders", "delays"), [(4, 1, 4.25), (4, 4, 3.5), (7, 1, 4.357143)]
)
def test_constant_delays_give_what_is_counted(members: int, leaders: int, delays: float):
    outcome = run(Parameters(members=members, leaders_per_round=leaders, duration_ms=2_000), 1)
    assert outcome.metrics["mean_delays"] == pytest.approx(delays, abs=1e-6)
    assert outcome.metrics["leader_ms"] == 300
    assert outcome.metrics["final_share"] == 1
    assert len(outcome.samples["finality_ms"]) > 100


def test_places_of_a_network_and_crashed_members_slow_it_down():
    near = run(Parameters(one_way_ms=0, interval_ms=50, minimum_delay_ms=50), 1).metrics
    options: dict[str, Any] = {"crashed": 1, "leader_timeout_ms": 400, "drained": False}
    far = run(Parameters(one_way_ms=0, network="cloud", interval_ms=50, **options), 1).metrics
    assert "mean_delays" not in near
    assert near["p50_ms"] < far["p50_ms"]


def test_nothing_is_final_below_a_quorum():
    outcome = run(Parameters(crashed=2, duration_ms=500), 1)
    assert outcome.metrics["final_share"] == 0
    assert "p50_ms" not in outcome.metrics


def test_lone_member_is_never_crashed():
    outcome = run(Parameters(members=1, crashed=3, minimum_delay_ms=10, duration_ms=500), 1)
    assert outcome.metrics["final_share"] == 1
