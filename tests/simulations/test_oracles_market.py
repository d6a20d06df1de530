"""Results on markets that are known from economics; expected values by other means than the library's.

What an allocation is worth is found here by trying all of them, on units that stand for
themselves; the library sees orders of many units, and sorts.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from market.auction import Clearing, LimitOrder, clear

Units = tuple[int, ...]


def split(orders: list[LimitOrder]) -> Units:
    """The value of every single unit."""
    return tuple(order.price for order in orders for _ in range(order.quantity))


def find_surplus_max(values: Units, costs: Units) -> int:
    """The most that any pairing of units can be worth, by exhaustion: no sorting, no prices."""

    @cache
    def try_from(unit: int, free: int) -> int:
        if unit == len(values):
            return 0
        best = try_from(unit + 1, free)
        for place, cost in enumerate(costs):
            if free & (1 << place):
                gain = values[unit] - cost
                best = max(best, gain + try_from(unit + 1, free & ~(1 << place)))
        return best

    return try_from(0, (1 << len(costs)) - 1)


def compute_surplus(bids: list[LimitOrder], asks: list[LimitOrder], clearing: Clearing) -> int:
    values = {order.id: order.price for order in bids}
    costs = {order.id: order.price for order in asks}
    return sum((values[one.bid] - costs[one.ask]) * one.quantity for one in clearing.fills)


def draw_orders(stream: random.Random, units_max: int, price_max: int) -> list[LimitOrder]:
    orders: list[LimitOrder] = []
    left = stream.randint(1, units_max)
    while left:
        quantity = stream.randint(1, min(3, left))
        left -= quantity
        number = len(orders)
        price, placed = stream.randint(0, price_max), stream.randrange(3)
        orders.append(LimitOrder(id=number, price=price, quantity=quantity, placed=placed))
    return orders


# --- V21: a call auction with truthful limits ------------------------------------------------------


@pytest.mark.parametrize("price_max", [3, 1_000])
@pytest.mark.parametrize("seed", range(60))
def test_v21_call_auction_is_worth_all_that_any_allocation_could_be(seed: int, price_max: int):
    stream = random.Random(seed)
    bids, asks = draw_orders(stream, 8, price_max), draw_orders(stream, 8, price_max)
    surplus = compute_surplus(bids, asks, clear(bids, asks))
    assert surplus == find_surplus_max(split(bids), split(asks))


@pytest.mark.parametrize("seed", range(60))
def test_v21_price_lies_between_the_marginal_bid_and_the_marginal_ask(seed: int):
    stream = random.Random(seed)
    bids, asks = draw_orders(stream, 40, 100), draw_orders(stream, 40, 100)
    clearing = clear(bids, asks)
    if clearing.quantity == 0:
        assert max(split(bids)) < min(split(asks))
        return
    bought = {fill.bid for fill in clearing.fills}
    sold = {fill.ask for fill in clearing.fills}
    marginal_bid = min(order.price for order in bids if order.id in bought)
    marginal_ask = max(order.price for order in asks if order.id in sold)
    assert marginal_ask <= clearing.price <= marginal_bid


def test_v21_both_sides_together_gain_exactly_the_surplus():
    stream = random.Random(21)
    for _ in range(200):
        bids, asks = draw_orders(stream, 30, 50), draw_orders(stream, 30, 50)
        clearing = clear(bids, asks)
        values = {order.id: order.price for order in bids}
        costs = {order.id: order.price for order in asks}
        buyers = sum((values[one.bid] - clearing.price) * one.quantity for one in clearing.fills)
        sellers = sum((clearing.price - costs[one.ask]) * one.quantity for one in clearing.fills)
        assert buyers >= 0
        assert sellers >= 0
        assert buyers + sellers == compute_surplus(bids, asks, clearing)
