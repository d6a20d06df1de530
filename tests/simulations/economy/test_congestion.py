"""A town with too little capacity: hours, prices and waiting."""

from __future__ import annotations

import random

from market.orders import Side
from simulations.economy.congestion import Demand, Supply, Town
from simulations.economy.exchange import HOUR_MS, START_MS


def make_town(*, lots_per_hour: float = 30, patience_ms: int = 0, step_bp: int = 2_000) -> Town:
    supply = Supply(providers=2, lots=10, floor=20_000, step_bp=step_bp)
    return Town(1, supply, Demand(lots_per_hour, 20_000, 100_000, patience_ms))


def live(town: Town, hours: int, stream: random.Random | None = None) -> None:
    stream = stream or random.Random(1)
    for hour in range(hours):
        town.open_hour(hours - hour)
        for quarter in range(1, 5):
            town.live(START_MS + hour * HOUR_MS + quarter * HOUR_MS // 4, stream)


def test_capacity_comes_back_every_hour_and_never_adds_up():
    town = make_town(lots_per_hour=0)
    for hour in range(3):
        town.open_hour(3 - hour)
        assert town.count_resting(Side.OFFER) == 20
        town.live(START_MS + (hour + 1) * HOUR_MS, random.Random(1))
    assert town.count_resting(Side.OFFER) == 0  # the last epoch is over


def test_no_more_is_sold_than_there_is():
    town = make_town(lots_per_hour=200, step_bp=0)
    live(town, 4)
    assert sum(trade.lots for trade in town.exchange.trades) == 4 * 20
    assert town.wanted >= 4 * 200
    assert town.able == town.wanted
    assert {provider.price for provider in town.providers} == {20_000}


def test_price_rises_while_all_is_sold_and_falls_in_smaller_steps():
    town = make_town(lots_per_hour=200)
    live(town, 2)
    assert {provider.price for provider in town.providers} == {28_800}
    slow = make_town(lots_per_hour=0)
    live(slow, 2)
    assert {provider.price for provider in slow.providers} == {20_000}
    assert {provider.step_bp for provider in slow.providers} == {1_000}


def test_patient_bids_wait_and_are_served_when_the_hour_begins():
    town = make_town(lots_per_hour=60, patience_ms=HOUR_MS // 2, step_bp=0)
    stream = random.Random(2)
    live(town, 1, stream)
    assert town.count_resting(Side.BID) > 0
    assert sum(trade.lots for trade in town.exchange.trades) == 20
    town.open_hour(1)
    assert 20 < sum(trade.lots for trade in town.exchange.trades) <= 40
    town.exchange.commit(HOUR_MS // 2)
    assert town.count_resting(Side.BID) == 0


def test_nothing_is_refused():
    town = make_town(patience_ms=600_000)
    live(town, 4)
    assert town.exchange.refusals == {}
    assert town.exchange.state.count_imbalance() == 0
