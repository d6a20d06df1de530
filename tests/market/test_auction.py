"""The call auction: who trades, at what price, and that nothing but the orders decides it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market import auction
from market.auction import AMOUNT_MAX, Clearing, Fill, InvalidOrder, LimitOrder, clear

Book = list[LimitOrder]


@st.composite
def books(draw: st.DrawFn) -> Book:
    rows = draw(
        st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5), st.integers(0, 3)), max_size=8)
    )
    return [
        LimitOrder(id=number, price=price, quantity=quantity, placed=placed)
        for number, (price, quantity, placed) in enumerate(rows)
    ]


def bid(number: int, price: int, quantity: int = 1, placed: int = 0) -> LimitOrder:
    return LimitOrder(id=number, price=price, quantity=quantity, placed=placed)


ask = bid


def count_filled(clearing: Clearing, side: str) -> Counter[int]:
    filled: Counter[int] = Counter()
    for fill in clearing.fills:
        filled[getattr(fill, side)] += fill.quantity
    return filled


# --- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([], []), ([bid(1, 5)], []), ([], [ask(1, 5)]), ([bid(1, 4)], [ask(1, 5)])],
)
def test_call_trades_nothing_when_orders_do_not_cross(bids: Book, asks: Book):
    assert clear(bids, asks) == Clearing(price=0, quantity=0, fills=())


def test_call_trades_what_crosses_at_one_price():
    clearing = clear([bid(1, 10, 3), bid(2, 7, 2), bid(3, 3, 9)], [ask(8, 2, 2), ask(9, 6, 4)])
    assert clearing.quantity == 5
    assert clearing.fills == (Fill(1, 8, 2), Fill(1, 9, 1), Fill(2, 9, 2))
    assert clearing.price == 6  # ask 9 has a unit left and would sell it for 6


@pytest.mark.parametrize(
    ("bids", "asks", "price"),
    [
        ([bid(1, 9)], [ask(1, 4)], 6),
        ([bid(1, 9), bid(2, 8)], [ask(1, 4)], 8),
        ([bid(1, 9)], [ask(1, 4), ask(2, 5)], 4),
        ([bid(1, 9, 2)], [ask(1, 4)], 9),
        ([bid(1, 5)], [ask(1, 5)], 5),
        ([bid(1, AMOUNT_MAX)], [ask(1, AMOUNT_MAX)], AMOUNT_MAX),
    ],
)
def test_price_is_the_middle_between_the_marginal_orders(bids: Book, asks: Book, price: int):
    assert clear(bids, asks).price == price


def test_earlier_order_goes_first_at_one_price_and_the_smaller_id_at_one_time():
    bids = [bid(1, 5, placed=9), bid(2, 5, placed=1), bid(3, 5, placed=1), bid(4, 6, placed=50)]
    clearing = clear(bids, [ask(1, 5, 3)])
    assert [fill.bid for fill in clearing.fills] == [4, 2, 3]
    asks = [ask(7, 1, placed=2), ask(6, 1, placed=2), ask(5, 1, placed=3), ask(8, 0, placed=4)]
    assert [fill.ask for fill in clear([bid(1, 5, 3)], asks).fills] == [8, 6, 7]


@pytest.mark.parametrize(
    "order",
    [
        bid(1, 1, 0),
        bid(1, 1, -1),
        bid(1, -1),
        bid(1, AMOUNT_MAX + 1),
        bid(1, 1, AMOUNT_MAX + 1),
    ],
)
def test_order_is_refused_when_it_has_no_price_or_no_units(order: LimitOrder):
    with pytest.raises(InvalidOrder, match="bid 1"):
        clear([order], [])
    with pytest.raises(InvalidOrder, match="ask 1"):
        clear([], [order])


def test_call_is_refused_when_an_id_comes_twice():
    with pytest.raises(InvalidOrder, match="ask 4 is placed twice"):
        clear([bid(4, 1)], [ask(4, 2), ask(4, 3)])


def test_call_is_refused_when_a_side_has_too_many_orders(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auction, "ORDERS_MAX", 2)
    clear([bid(1, 1), bid(2, 1)], [ask(1, 1), ask(2, 1)])
    with pytest.raises(InvalidOrder, match="takes 2 bids"):
        clear((bid(number, 1) for number in range(10**9)), [])


# --- for any book --------------------------------------------------------------------------------


@given(books(), books())
def test_nobody_trades_at_a_loss_or_more_than_ordered(bids: Book, asks: Book):
    clearing = clear(bids, asks)
    limits = {order.id: order for order in bids}
    for number, quantity in count_filled(clearing, "bid").items():
        assert quantity <= limits[number].quantity
        assert clearing.price <= limits[number].price
    limits = {order.id: order for order in asks}
    for number, quantity in count_filled(clearing, "ask").items():
        assert quantity <= limits[number].quantity
        assert clearing.price >= limits[number].price
    assert clearing.quantity == sum(fill.quantity for fill in clearing.fills)
    assert all(fill.quantity > 0 for fill in clearing.fills)


@given(books(), books())
def test_nobody_is_left_out_who_would_trade_at_the_price(bids: Book, asks: Book):
    clearing = clear(bids, asks)
    bought, sold = count_filled(clearing, "bid"), count_filled(clearing, "ask")
    if clearing.quantity:
        assert all(bought[one.id] == one.quantity for one in bids if one.price > clearing.price)
        assert all(sold[one.id] == one.quantity for one in asks if one.price < clearing.price)
    left_bids = [one.price for one in bids if bought[one.id] < one.quantity]
    left_asks = [one.price for one in asks if sold[one.id] < one.quantity]
    assert not left_bids or not left_asks or max(left_bids) < min(left_asks)


@given(books(), books())
def test_better_orders_are_filled_before_worse_ones(bids: Book, asks: Book):
    clearing = clear(bids, asks)
    for orders, side, sign in ((bids, "bid", -1), (asks, "ask", 1)):
        filled = count_filled(clearing, side)
        ranked = sorted(orders, key=lambda one: (sign * one.price, one.placed, one.id))
        is_left = [filled[one.id] < one.quantity for one in ranked]
        first = is_left.index(True) if True in is_left else len(ranked)
        assert all(filled[one.id] == 0 for one in ranked[first + 1 :])


@given(books(), books(), st.randoms())
def test_order_of_arrival_decides_nothing(bids: Book, asks: Book, chance):
    before = clear(bids, asks)
    chance.shuffle(bids)
    chance.shuffle(asks)
    assert clear(iter(bids), iter(asks)) == before
