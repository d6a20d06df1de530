"""Traders who shout at random keep to the rules of the experiment."""

from __future__ import annotations

import random

import pytest

from market.orders import Side
from simulations.economy.schedules import Schedule
from simulations.economy.zero_intelligence import Crowd

SCHEDULE = Schedule(values=((150, 90), (120, 60)), costs=((50, 110), (80, 140)))


def make_crowd(*, budget: bool = True, rule="sweep", schedule: Schedule = SCHEDULE) -> Crowd:
    return Crowd(schedule, 5, random.Random(5), budget=budget, rule=rule)


@pytest.mark.parametrize("rule", ["sweep", "keep"])
def test_nobody_with_a_budget_trades_at_a_loss(rule):
    crowd = make_crowd(rule=rule)
    crowd.shout_on(10_000)
    assert crowd.deals
    assert all(deal.cost <= deal.price <= deal.value for deal in crowd.deals)
    left = [trader.unit for trader in crowd.traders]
    bids, offers = [unit for unit in left[:2] if unit], [unit for unit in left[2:] if unit]
    assert not bids or not offers or max(bids) < min(offers)


def test_everybody_without_a_budget_trades_everything():
    crowd = make_crowd(budget=False)
    crowd.shout_on(10_000)
    assert len(crowd.deals) == 4
    assert all(trader.unit is None for trader in crowd.traders)


def test_trade_sweeps_away_all_orders_or_leaves_them():
    swept, kept = make_crowd(), make_crowd(rule="keep")
    for crowd in (swept, kept):
        while not crowd.deals:
            crowd.shout()
    count = {crowd: len(crowd.exchange.state.desk.orders) for crowd in (swept, kept)}
    assert count[swept] == 0
    assert len(kept.exchange.trades) == 1


def test_shout_stands_until_its_trader_makes_a_better_one():
    lonely = make_crowd(schedule=Schedule(values=((150,),), costs=((199,),)))
    best = 0
    for _ in range(60):
        lonely.shout()
        bids = lonely.exchange.list_resting(Side.BID)
        assert len(bids) <= 1
        if bids:
            assert bids[0].price_uruv >= best
            best = bids[0].price_uruv
    assert best > 0
    assert lonely.shouts == 60
    assert lonely.exchange.refusals == {}


def test_every_deal_is_paid_by_the_market():
    crowd = make_crowd()
    crowd.shout_on(10_000)
    totals = crowd.exchange.state.ledger.totals
    # Early cancels burn a bond of 100 micro-ruv each; all the rest are fees of half a per cent.
    fees = sum(deal.price * 1_000 * 50 // 10_000 for deal in crowd.deals)
    assert (totals.burned + totals.pool - fees) % 100 == 0
    assert totals.held == 0
    assert totals.pool == sum((deal.price * 1_000 * 50 // 10_000) // 2 for deal in crowd.deals)


def test_shouts_are_bounded():
    crowd = make_crowd()
    crowd.shout_on(3)
    assert crowd.shouts == 3
