"""Gains of traders who shout at random: as published, and as counting says."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest

from simulations.scenarios.measures.zero_intelligence import Parameters, run

PUBLISHED = (0.971, 0.999)
"""Least and most of the mean efficiencies of five markets of ZI-C traders (Gode and Sunder 1993)."""
SEEDS = 24


@pytest.mark.parametrize("shape", ["even", "crowded"])
def test_efficiency_of_constrained_traders_is_in_the_published_band(shape):
    found = [run(Parameters(shape=shape), seed).metrics["efficiency"] for seed in range(SEEDS)]
    half_width = 1.96 * stdev(found) / SEEDS**0.5
    # The whole 95 % confidence interval of the mean, not the mean alone.
    assert PUBLISHED[0] <= fmean(found) - half_width
    assert fmean(found) + half_width <= PUBLISHED[1]


@pytest.mark.parametrize("rule", ["sweep", "keep"])
@pytest.mark.parametrize("seed", range(5))
def test_unconstrained_traders_of_an_even_market_trade_all_and_gain_nothing(seed: int, rule):
    metrics = run(Parameters(traders="zi_u", rule=rule), seed).metrics
    assert metrics["efficiency"] == 0
    assert metrics["trades_ratio"] == 2


def test_prices_of_constrained_traders_find_to_the_equilibrium():
    early, late = [], []
    for seed in range(16):
        errors = [error for _, error in run(Parameters(), seed).series["error_by_trades"]]
        early.append(fmean(errors[: len(errors) // 2]))
        late.append(fmean(errors[len(errors) // 2 :]))
    assert fmean(late) < 0.6 * fmean(early)


def test_market_in_which_nothing_can_be_gained_loses_nothing():
    metrics = run(Parameters(buyers=1, sellers=1, units=1), 1).metrics
    assert metrics["efficiency"] == 1
    assert metrics["trades_ratio"] in (0, 1)


def test_market_in_which_nobody_meets_has_no_price():
    outcome = run(Parameters(shouts_max=1), 1)
    assert "price_ratio" not in outcome.metrics
    assert outcome.samples["price_ratio"] == []
    assert outcome.metrics["trades"] == 0
