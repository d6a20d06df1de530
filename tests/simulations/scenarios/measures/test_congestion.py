"""More is wanted than there is: who is served, and at what price."""

from __future__ import annotations

from statistics import fmean

import pytest
from pydantic import ValidationError

from simulations.scenarios.measures.congestion import Parameters, run


@pytest.mark.parametrize("load", [0.5, 1.5, 3.0])
def test_share_that_is_served_at_fixed_prices_is_capacity_over_demand(load: float):
    metrics = run(Parameters(load=load, step_percent=0, hours=6), 1).metrics
    assert metrics["filled_share"] == pytest.approx(min(1, 1 / load), abs=0.01)
    assert metrics["able_filled_share"] == metrics["filled_share"]
    assert metrics["used_share"] == pytest.approx(min(1, load), abs=0.01)
    assert metrics["price_uruv"] == 20_000


def test_prices_that_follow_demand_clear_the_market():
    # Worth is even from 20,000 to 100,000: above 60,000 lies as much demand as there is capacity.
    found = [run(Parameters(load=2.0), seed).metrics for seed in range(2)]
    assert fmean(one["price_uruv"] for one in found) == pytest.approx(60_000, rel=0.06)
    assert fmean(one["able_filled_share"] for one in found) > 0.9
    assert all(one["used_share"] > 0.85 for one in found)


def test_price_stays_at_cost_while_there_is_enough():
    outcome = run(Parameters(load=0.5, hours=6), 1)
    assert outcome.metrics["price_uruv"] == 20_000
    assert {price for _, price in outcome.series["price_by_h"]} == {20_000}


def test_book_empties_within_the_hour_and_is_whole_again():
    series = run(Parameters(load=2.0, step_percent=0, hours=6), 1).series
    profile = dict(series["offered_by_min"])
    assert profile[0] == 200
    assert profile[15] == pytest.approx(100, abs=10)
    assert profile[35] == 0
    assert max(lots for _, lots in series["offered_by_h"]) == 200


def test_waiting_bids_are_seen():
    patient = run(Parameters(load=2.0, step_percent=0, hours=4, patience_min=30), 1)
    assert max(lots for _, lots in patient.series["bid_by_h"]) > 0
    # What rests sets the price: who waited pays what it bid when the hour begins.
    assert patient.metrics["price_uruv"] > 20_000


@pytest.mark.parametrize("changes", [{"value_low": 10_000}, {"value_high": 15_000}])
def test_values_have_to_be_worth_the_cost(changes: dict):
    with pytest.raises(ValidationError, match="have to rise in this order"):
        Parameters(**changes)


def test_hour_without_demand_has_no_trades():
    metrics = run(Parameters(load=0.001, hours=2), 1).metrics
    assert (metrics["filled_share"], metrics["price_uruv"]) == (0, 0)
