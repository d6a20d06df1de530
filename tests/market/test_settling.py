"""Following a book: contracts of its fills, money of what closes, and nothing of what just rests."""

from __future__ import annotations

import pytest

from market.commands import ReduceOrder
from market.orders import Side, TimeInForce
from tests.support.market_scene import RUV, MarketScene, get_account

BUYER, PROVIDER, OTHER = 4, 5, 6


@pytest.fixture
def scene() -> MarketScene:
    made = MarketScene()
    made.list_model()
    made.make_provider(PROVIDER)
    made.make_provider(OTHER)
    return made


def test_each_fill_becomes_a_contract_of_its_two_orders(scene: MarketScene):
    first, second = scene.offer(PROVIDER, 1_000, 4), scene.offer(OTHER, 1_010, 4)
    bid = scene.bid(BUYER, 1_500, 6)
    opened = scene.state.opened
    assert [(row.bid, row.offer, row.lots, row.price) for row in opened] == [
        (bid, first, 4, 1_000),
        (bid, second, 2, 1_010),
    ]
    assert [(row.escrow, row.collateral) for row in opened] == [(4_000, 800), (2_020, 404)]
    assert {row.buyer for row in opened} == {get_account(BUYER)}
    assert scene.kinds() == [
        "order_placed",
        *["contract_locked"] * 4,
        "order_closed",
        "order_closed",
    ]
    (row,) = scene.state.desk.orders.rows()
    assert (row.id, row.lots, row.margin, row.bond) == (second, 2, 404, 0)


def test_offer_that_takes_is_settled_as_one_that_rested(scene: MarketScene):
    bid = scene.bid(BUYER, 1_500, 6)
    offer = scene.offer(PROVIDER, 1_000, 6)
    (contract,) = scene.state.opened
    assert (contract.bid, contract.offer, contract.price) == (bid, offer, 1_500)
    assert contract.collateral == 1_200
    assert scene.state.ledger.get(get_account(BUYER)).free == 1_000 * RUV - 9_000


def test_order_that_rests_or_shrinks_keeps_what_it_needs(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    assert scene.kinds() == ["order_placed"]
    scene.say(BUYER, ReduceOrder(order, 4))
    (row,) = scene.state.desk.orders.rows()
    assert (row.lots, row.margin) == (4, 4_000)


def test_what_is_left_of_an_order_that_does_not_rest_is_closed_with_its_reason(
    scene: MarketScene,
):
    scene.offer(PROVIDER, 1_000, 4)
    scene.bid(BUYER, 1_000, 10, time_in_force=TimeInForce.IOC)
    closed = [event.detail for event in scene.state.events if event.kind == "order_closed"]
    assert closed == ["immediate", "filled"]


def test_own_order_in_the_way_is_closed_and_the_rest_goes_on(scene: MarketScene):
    own = scene.offer(PROVIDER, 1_000, 4)
    other = scene.offer(OTHER, 1_010, 4)
    scene.bid(PROVIDER, 1_010, 4)
    closed = {event.subject: event.detail for event in scene.state.events}
    assert (closed[own], closed[other]) == ("self_trade", "filled")
    assert [row.side for row in scene.state.desk.orders.rows() if row.side is Side.OFFER] == []
