"""A call auction of honest limits takes all gains there are; shaded ones leave some."""

from __future__ import annotations

from statistics import fmean

import pytest

from simulations.economy.schedules import draw_schedule
from simulations.scenarios.measures.call_auction import Parameters, run
from simulations.streams import Streams


@pytest.mark.parametrize("shape", ["even", "crowded", "random"])
@pytest.mark.parametrize("traders", [1, 7, 30])
@pytest.mark.parametrize("seed", range(8))
def test_efficiency_of_honest_limits_is_exactly_one(seed: int, traders: int, shape):
    metrics = run(Parameters(traders=traders, shape=shape), seed).metrics
    assert metrics["efficiency"] == 1
    assert metrics["lost_units"] <= 0  # units that gain nothing may trade


def test_price_of_honest_limits_lies_between_the_marginal_units():
    for seed in range(20):
        parameters = Parameters(traders=10)
        schedule = draw_schedule("random", 10, 10, 4, Streams(seed).get("schedule"))
        values = sorted((unit for units in schedule.values for unit in units), reverse=True)
        costs = sorted(unit for units in schedule.costs for unit in units)
        traded = sum(value >= cost for value, cost in zip(values, costs, strict=True))
        ratio = run(parameters, seed).metrics["price_ratio"]
        middle = (costs[traded - 1] + values[traded - 1]) / 2
        assert abs(ratio - 1) * middle <= values[traded - 1] - costs[traded - 1] + 1


def test_shading_costs_gains():
    def find_mean(percent: int) -> float:
        parameters = Parameters(shading_percent=percent)
        return fmean(run(parameters, seed).metrics["efficiency"] for seed in range(10))

    assert 1 == find_mean(0) > find_mean(20) > find_mean(60) > 0.5


def test_auction_in_which_nobody_can_gain_has_no_price():
    lost = [run(Parameters(traders=1, units=1), seed).metrics for seed in range(20)]
    assert any("price_ratio" not in metrics for metrics in lost)
    assert all(metrics["efficiency"] == 1 for metrics in lost)
