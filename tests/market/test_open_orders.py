"""What orders reserve, what a fill takes of it, and that all of it comes back."""

from __future__ import annotations

import pytest

from market.accounts import Ledger
from market.amounts import ORDER_BOND_URUV
from market.commands import PlaceOrder
from market.errors import Refused
from market.events import Trail
from market.open_orders import OpenOrder, OpenOrders, bytes_of, compute_taken, make_row
from market.orders import Side, TimeInForce
from tests.support.market_scene import make_tiers

ACCOUNT, MODEL, OTHER = bytes(32), bytes([1]) * 32, bytes([2]) * 32


def make_order(
    side: Side, price: int | None, lots: int, sla: int = 0, budget: int = 0
) -> OpenOrder:
    tiers = make_tiers(sla=sla)
    command = PlaceOrder(MODEL, side, price, lots, tiers, TimeInForce.GTC, 0, budget)
    return make_row(bytes([lots]) * 32, ACCOUNT, command, 7)


def make_orders(money: int = 100_000) -> tuple[OpenOrders, Ledger, Trail]:
    ledger, trail = Ledger(), Trail()
    ledger.mint(ACCOUNT, 2 * money)
    ledger.stake(ACCOUNT, money)
    return OpenOrders(ledger, trail, lambda row: row), ledger, trail


@pytest.mark.parametrize(
    ("row", "margin"),
    [
        (make_order(Side.BID, 1_000, 10), 10_000),
        (make_order(Side.BID, None, 10, budget=7_500), 7_500),
        (make_order(Side.OFFER, 1_003, 7), 1_405),
        (make_order(Side.OFFER, 1_000, 10, sla=3), 20_000),
        (make_order(Side.OFFER, None, 10, sla=1, budget=7_501), 3_751),
    ],
)
def test_margin_is_what_an_order_may_cost(row: OpenOrder, margin: int):
    assert row.margin == margin
    assert (row.bond, row.entered) == (ORDER_BOND_URUV, 7)
    assert not row.price or row.compute_need() == margin


def test_money_is_reserved_where_the_side_has_it_and_comes_back_from_there():
    for side in Side:
        orders, ledger, trail = make_orders()
        row = make_order(side, 1_000, 10)
        orders.reserve(row, row.margin, row.bond)
        assert ledger.get(ACCOUNT).reserved == row.margin + row.bond
        orders.add(row)
        orders.close(row, "filled")
        account = ledger.get(ACCOUNT)
        assert (account.free, account.reserved, account.staked) == (100_000, 0, 100_000)
        assert [(each.kind, each.detail) for each in trail.events] == [("order_closed", "filled")]
        assert len(orders.rows) == 0


def test_bond_may_be_burned_and_an_order_without_money_just_closes():
    orders, ledger, _ = make_orders()
    row = make_order(Side.BID, 1_000, 10)
    orders.reserve(row, row.margin, row.bond)
    orders.add(row)
    orders.close(row, "owner", bond_burned=True)
    assert ledger.totals.burned == ORDER_BOND_URUV
    row.margin = row.bond = 0
    orders.add(row)
    orders.close(row, "filled")
    assert ledger.get(ACCOUNT).free == 100_000 - ORDER_BOND_URUV


def test_more_than_an_account_has_is_not_reserved():
    orders, ledger, _ = make_orders(money=5_000)
    for side in Side:
        row = make_order(side, 1_000, 100)
        with pytest.raises(Refused):
            orders.reserve(row, row.margin, row.bond)
    assert ledger.get(ACCOUNT).reserved == 0


def test_orders_are_counted_by_account_and_model():
    orders, _, _ = make_orders()
    rows = [make_order(Side.BID, 1_000, lots) for lots in (1, 2, 3)]
    rows[2].model = OTHER
    for row in rows:
        row.margin = row.bond = 0
        orders.add(row)
    assert orders.counts == {ACCOUNT: {MODEL: 2, OTHER: 1}}
    for row, left in zip(rows, ({MODEL: 1, OTHER: 1}, {OTHER: 1}, None), strict=True):
        orders.close(row, "filled")
        assert orders.counts.get(ACCOUNT) == left


def test_fill_takes_the_collateral_of_its_lots_and_never_more_than_there_is():
    offer = make_order(Side.OFFER, 1_003, 7)
    offer.lots = 6
    assert compute_taken(offer, 1_003, 1) == 1_405 - 1_204
    market = make_order(Side.OFFER, None, 7, budget=1_004)
    assert compute_taken(market, 1_003, 1) == 201
    market.margin = 5
    assert compute_taken(market, 1_003, 1) == 5


def test_names_in_these_books_are_bytes():
    assert bytes_of(b"a") == b"a"
    with pytest.raises(AssertionError):
        bytes_of(5)
