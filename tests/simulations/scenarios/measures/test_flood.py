"""Floods reach everybody over connections, and cost what counting says."""

from __future__ import annotations

import pytest

from simulations.errors import BadModel
from simulations.scenarios.measures.flood import Parameters, run
from simulations.scenarios.networks import Preset


@pytest.mark.parametrize(("nodes", "degree"), [(50, 3), (200, 8)])
@pytest.mark.parametrize("network", ["lan", "cloud", "home"])
def test_copies_are_as_counted_whatever_the_latencies(nodes: int, degree: int, network: Preset):
    metrics = run(Parameters(nodes=nodes, degree=degree, network=network), 1).metrics
    assert metrics["coverage"] == 1
    # The origin sends to all its neighbours, everybody else to all but one.
    assert metrics["copies_per_node"] == (degree + (nodes - 1) * (degree - 1)) / nodes


def test_hops_of_equal_latency_are_counted_on_a_line():
    outcome = run(Parameters(nodes=2, topology="line"), 1)
    assert outcome.samples["delivery_ms"] == [20]
    assert outcome.series["coverage_by_ms"] == [(0, 0.5), (20, 1.0)]


def test_time_to_check_is_added_at_every_hop():
    plain = run(Parameters(nodes=60, degree=4), 2).metrics
    checked = run(Parameters(nodes=60, degree=4, check_ms=7.0), 2).metrics
    hops = plain["max_ms"] / 20
    assert checked["max_ms"] == pytest.approx(hops * 27 - 7)


def test_large_messages_take_their_uplinks_time():
    outcome = run(Parameters(nodes=2, topology="line", size_bytes=2_500, network="home"), 1)
    assert outcome.metrics["bytes_per_node"] == 1_250
    assert outcome.metrics["p50_ms"] > 1  # 2,500 B at 20 Mbit/s, before any latency


def test_slow_and_fast_uplinks_of_the_internet_both_flood():
    metrics = run(Parameters(nodes=60, degree=6, network="internet", size_bytes=10_000), 1).metrics
    assert metrics["coverage"] == 1
    assert (6 - 2) / 2 <= metrics["copies_per_node"] <= 6 - 1 + 1 / 60


def test_lost_datagrams_are_lost():
    parameters = Parameters(nodes=200, degree=3, network="hostile", reliable=False)
    coverages = [run(parameters, seed).metrics["coverage"] for seed in range(8)]
    assert min(coverages) < 1
    assert run(Parameters(nodes=200, degree=3, network="hostile"), 0).metrics["coverage"] == 1


def test_impossible_graphs_are_named():
    with pytest.raises(BadModel, match="no such graph"):
        run(Parameters(nodes=5, degree=3), 1)
