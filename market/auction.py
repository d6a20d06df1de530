"""A call auction: all orders that wait meet at once, at one price.

The price is found by walking the bids from the highest and the asks from the lowest until they no
longer cross. Every unit up to there trades, so that no other allocation of the same orders is
worth more to those who placed them. Marginal orders bound the price, and the middle between the
bounds is taken, rounded down: neither side can be said to set it.

Price decides who trades, then time; orders of one price and one time go by their id.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from dag.errors import MeshError

AMOUNT_MAX: Final = (1 << 63) - 1
"""Greatest price, quantity, time or id: what every peer's codec can carry."""
ORDERS_MAX: Final = 1 << 16
"""Most orders of one side."""


class InvalidOrder(MeshError):
    """An order that no call can take; the message names it."""

    code = "invalid_order"


class LimitOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Buy at most at, or sell at least at, a price for each unit."""

    id: int
    """Unlike that of any other order of its side."""
    price: int
    quantity: int
    """Units, from 1."""
    placed: int = 0
    """When; of two orders at one price the earlier one goes first."""


class Fill(msgspec.Struct, frozen=True):
    """Units that pass from one ask to one bid, at the price of the clearing."""

    bid: int
    ask: int
    quantity: int


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a call."""

    price: int = 0
    """For each unit, whoever trades; 0 where nothing does."""
    quantity: int = 0
    fills: tuple[Fill, ...] = ()


def clear(bids: Iterable[LimitOrder], asks: Iterable[LimitOrder]) -> Clearing:
    """Match bids and asks at one price. Raises `InvalidOrder`.

    The answer depends on the orders alone, not on the order in which they are given.
    """
    demand = sorted(_check("bid", bids), key=lambda order: (-order.price, order.placed, order.id))
    supply = sorted(_check("ask", asks), key=lambda order: (order.price, order.placed, order.id))
    fills = _match(demand, supply)
    if not fills:
        return Clearing()
    quantity = sum(fill.quantity for fill in fills)
    price = _find_price(demand, supply, quantity)
    return Clearing(price=price, quantity=quantity, fills=tuple(fills))


def _check(side: str, orders: Iterable[LimitOrder]) -> list[LimitOrder]:
    """The orders of one side, all of which can be matched."""
    known: dict[int, LimitOrder] = {}
    for order in orders:
        name = f"{side} {order.id}"
        if order.id in known:
            raise InvalidOrder(f"{name} is placed twice")
        if not 1 <= order.quantity <= AMOUNT_MAX:
            raise InvalidOrder(f"{name} is for {order.quantity} units, not for 1 or more")
        if not 0 <= order.price <= AMOUNT_MAX:
            raise InvalidOrder(f"{name} has price {order.price}, which nobody can pay")
        if len(known) == ORDERS_MAX:
            raise InvalidOrder(f"a call takes {ORDERS_MAX} {side}s, and there are more")
        known[order.id] = order
    return list(known.values())


def _match(demand: Sequence[LimitOrder], supply: Sequence[LimitOrder]) -> list[Fill]:
    """Units of the best bids and asks as long as they cross."""
    fills: list[Fill] = []
    bid_at = ask_at = bid_filled = ask_filled = 0
    while bid_at < len(demand) and ask_at < len(supply):
        bid, ask = demand[bid_at], supply[ask_at]
        if bid.price < ask.price:
            break
        quantity = min(bid.quantity - bid_filled, ask.quantity - ask_filled)
        fills.append(Fill(bid.id, ask.id, quantity))
        bid_filled += quantity
        ask_filled += quantity
        if bid_filled == bid.quantity:
            bid_at, bid_filled = bid_at + 1, 0
        if ask_filled == ask.quantity:
            ask_at, ask_filled = ask_at + 1, 0
    return fills


def _find_price(demand: Sequence[LimitOrder], supply: Sequence[LimitOrder], quantity: int) -> int:
    """The middle of the prices at which so many units are wanted and offered.

    The last unit that trades must not lose by the price, and the first one that does not trade must
    not wish that it had.
    """
    last_bid, *left_bid = _find_limits(demand, quantity)
    last_ask, *left_ask = _find_limits(supply, quantity)
    return (max((last_ask, *left_bid)) + min((last_bid, *left_ask))) // 2


def _find_limits(orders: Sequence[LimitOrder], quantity: int) -> list[int]:
    """Limit of the last unit that trades, and of the next one if there is any."""
    ends = list(accumulate(order.quantity for order in orders))
    ranks = [rank for rank in (quantity, quantity + 1) if rank <= ends[-1]]
    return [orders[bisect_left(ends, rank)].price for rank in ranks]
