"""The orders that are alive, and how one that comes meets those that rest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Final

from market.agenda import Agenda
from market.book_side import BookSide
from market.instruments import PRICE_MAX_URUV, Instrument
from market.orders import (
    Cancelled,
    Event,
    Filled,
    OrderId,
    Owner,
    Reason,
    Rested,
    RestingOrder,
    Side,
)

BID: Final = Side.BID
NO_FLOOR: Final = -PRICE_MAX_URUV
"""The least rank there is: what a taker without a limit may trade with."""
get_seq: Final[Callable[[RestingOrder], int]] = attrgetter("seq")
"""The place of an order in time."""


def find_floor(side: Side, price_uruv: int | None) -> int:
    """The least rank that a taker with this limit, or with none, may trade with."""
    if price_uruv is None:
        return NO_FLOOR
    return -price_uruv if side is BID else price_uruv


class Matcher:
    """Both sides of a book with every index over them, which only change together."""

    def __init__(self, instrument: Instrument) -> None:
        self._guard: Final = instrument.tiers.guard
        self._touches_max: Final = instrument.fills_max
        self._forbids_self_trades: Final = not instrument.allows_self_trades
        self.bids: Final = BookSide(BID, self._guard)
        self.offers: Final = BookSide(Side.OFFER, self._guard)
        self.orders: Final[dict[OrderId, RestingOrder]] = {}
        """All that are alive: those that rest, and rate offers that are sold out for an epoch."""
        self.owned: Final[dict[Owner, dict[OrderId, None]]] = {}
        self.rated: Final[dict[OrderId, None]] = {}
        self.expiries: Final = Agenda(self.is_alive, self._list_expiries, get_seq)
        self.trades = 0

    def opposite(self, side: Side) -> BookSide:
        """The side that a taker of this side trades with."""
        return self.offers if side is BID else self.bids

    def would_match(self, taker: RestingOrder, floor: int) -> bool:
        """Whether an order that came now would meet another one, its owner's own included."""
        opposite = self.opposite(taker.side)
        return opposite.has_match(opposite.find_term(taker.tiers), floor)

    def can_fill(self, taker: RestingOrder, floor: int, budget_uruv: int) -> bool:
        """Whether an order that came now would be filled whole: what `match` would do."""
        opposite = self.opposite(taker.side)
        touches, lots, spendable = self._touches_max, taker.lots, budget_uruv
        owner, group, forbids = taker.owner, taker.group, self._forbids_self_trades
        for maker in opposite.walk(opposite.find_term(taker.tiers), floor):
            if not touches:
                break
            touches -= 1
            kin = maker.owner == owner or (group is not None and maker.group == group)
            if kin and forbids:
                continue
            traded = min(lots, maker.lots)
            spendable -= traded * maker.price_uruv
            if budget_uruv and spendable < 0:
                break
            lots -= traded
            if not lots:
                return True
        return False

    def match(
        self, taker: RestingOrder, floor: int, budget_uruv: int, events: list[Event]
    ) -> Reason | None:
        """Trade with the best orders that fit, down to a rank and up to a budget (0 for none).

        Answers the bound that stopped it, if one did. This is what a book spends its time on.
        """
        side, guard = taker.side, self._guard
        opposite = self.offers if side is BID else self.bids
        heads = opposite.heads
        if not heads or heads[-1][0] < floor:
            return None
        last, least = len(heads) - 1, bisect_left(heads, (floor,))
        term = opposite.find_term(taker.tiers)
        lots, touches = taker.lots, self._touches_max
        owner, group, forbids = taker.owner, taker.group, self._forbids_self_trades
        reason, spendable = None, budget_uruv
        while lots and reason is None:
            for position in range(last, least - 1, -1):
                if not (heads[position][2] + term) & guard:
                    break
            else:
                break
            rank, _, _, ladder = heads[position]
            if rank < floor:
                break  # a head that went back made place for it above `least`
            maker = ladder.entries[-1][2]
            if not touches:
                reason = Reason.MAX_FILLS
                break
            last = position
            touches -= 1
            if forbids and (maker.owner == owner or (group is not None and maker.group == group)):
                last = opposite.pop_head(position)
                self.forget(maker)
                events.append(Cancelled(maker.id, maker.owner, maker.lots, Reason.SELF_TRADE))
                continue
            price, resting = maker.price_uruv, maker.lots
            traded = min(lots, resting)
            if budget_uruv:
                traded = min(traded, spendable // price)
                if not traded:
                    reason = Reason.BUDGET
                    break
                spendable -= traded * price
            self.trades += 1
            fill = Filled(self.trades, taker.id, maker.id, owner, maker.owner, side, price, traded)
            events.append(fill)
            lots -= traded
            maker.lots = resting - traded
            if traded == resting:
                last = opposite.pop_head(position)
                if not maker.epochs_left:
                    self.forget(maker)
            elif lots:
                reason = Reason.BUDGET
        taker.lots = lots
        return reason

    def settle(self, order: RestingOrder, reason: Reason | None, events: list[Event]) -> None:
        """What is left after matching rests, or is cancelled at the bound that stopped it."""
        if reason is not None and order.lots:
            events.append(Cancelled(order.id, order.owner, order.lots, reason))
            order.lots = 0
        if order.lots:
            self.restore(order)
            events.append(Rested(order.id, order.owner, order.lots, order.seq))
        elif order.epochs_left:
            self.restore(order)

    def take_up(self, order: RestingOrder, events: list[Event]) -> None:
        """An order comes, or comes anew: it trades up to its limit, and what is left rests."""
        floor = find_floor(order.side, order.price_uruv)
        self.settle(order, self.match(order, floor, 0, events), events)

    def withdraw(self, order: RestingOrder, reason: Reason) -> Cancelled:
        """Take an order out of everything."""
        if order.lots:
            (self.bids if order.side is BID else self.offers).remove(order)
        self.forget(order)
        return Cancelled(order.id, order.owner, order.lots, reason)

    def restore(self, order: RestingOrder) -> None:
        """Enter an order into every index, without matching it."""
        order_id = order.id
        self.orders[order_id] = order
        owned = self.owned.get(order.owner)
        if owned is None:
            self.owned[order.owner] = {order_id: None}
        else:
            owned[order_id] = None
        if order.rate_lots:
            self.rated[order_id] = None
        self.expiries.put(order.expires_ms, order)
        if order.lots:
            (self.bids if order.side is BID else self.offers).add(order)

    def is_alive(self, order: RestingOrder, _: int = 0) -> bool:
        """Whether an order is still in the book."""
        return self.orders.get(order.id) is order

    def _list_expiries(self) -> Iterable[tuple[int, RestingOrder]]:
        return ((order.expires_ms, order) for order in self.orders.values())

    def forget(self, order: RestingOrder) -> None:
        """Take an order out of every index but its side."""
        del self.orders[order.id]
        owned = self.owned[order.owner]
        del owned[order.id]
        if not owned:
            del self.owned[order.owner]
        if order.rate_lots:
            del self.rated[order.id]
