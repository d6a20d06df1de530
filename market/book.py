"""The order book of one instrument: a continuous double auction with tiers.

An order that comes trades with the best order of the other side that fits: an offer fits a bid if
every attribute it gives is at least what the bid asks for. Best is the best price, then the first
to come. The price is always that of the order that rested. What is left rests, or is cancelled.
No two orders that fit and cross ever rest at the same time.

`Book.apply` is total: a message that cannot be followed is answered by `Rejected` and changes
nothing. Times come in from outside and never go back. Money is not known here: whoever holds it
reserves before a message is given, and books what the events say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from dag.errors import MeshError
from market.instruments import Instrument
from market.matching import Matcher, find_floor, get_seq
from market.order_checks import find_fault, find_price_fault
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Code,
    Event,
    Message,
    NewOrder,
    OrderId,
    Owner,
    Reason,
    Reduce,
    Rejected,
    Replace,
    RestingOrder,
    Side,
    TimeInForce,
)

OWNER: Final = Reason.OWNER
IMMEDIATE: Final = Reason.IMMEDIATE
EXPIRED: Final = Reason.EXPIRED
IOC: Final = TimeInForce.IOC
FOK: Final = TimeInForce.FOK
POST_ONLY: Final = TimeInForce.POST_ONLY


class InvalidBook(MeshError):
    """A stored book that no sequence of messages leads to."""

    code = "invalid_book"


class BookSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """Everything a book knows, as a value that is the same on every machine."""

    now_ms: int
    seq: int
    trades: int
    orders: tuple[RestingOrder, ...]
    """By seq."""


class Book:
    """Orders that rest, and the rules by which they trade."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument: Final = instrument
        self._matcher: Final = Matcher(instrument)
        self._orders: Final = self._matcher.orders
        self.get: Final[Callable[[OrderId], RestingOrder | None]] = self._orders.get
        """An order that is alive, to be read only. It is the dictionary's own method."""
        self._resting_max: Final = instrument.resting_max
        self._life_max_ms: Final = instrument.order_life_max_ms
        self._now_ms = 0
        self._seq = 0

    def __len__(self) -> int:
        return len(self._orders)

    # --- messages --------------------------------------------------------------------------------

    def apply(self, message: Message) -> list[Event]:
        """Follow a message, or reject it without any effect."""
        return _ROUTES[type(message)](self, message)

    def submit(self, new: NewOrder) -> list[Event]:
        """Take in an order: trade what can be traded, rest or cancel what is left."""
        lifetime, orders, matcher = new.time_in_force, self._orders, self._matcher
        is_immediate = lifetime is IOC or lifetime is FOK
        if new.id in orders:
            return [Rejected(new.id, new.owner, Code.DUPLICATE_ID)]
        code = find_fault(new, self.instrument, self._now_ms)
        if code is not None:
            return [Rejected(new.id, new.owner, code)]
        if len(orders) >= self._resting_max and not is_immediate:
            return [Rejected(new.id, new.owner, Code.BOOK_FULL)]
        side, price_uruv = new.side, new.price_uruv
        order = RestingOrder(
            new.id,
            new.owner,
            new.group,
            side,
            price_uruv or 0,
            new.lots,
            new.tiers,
            self._seq + 1,
            new.expires_ms or self._now_ms + self._life_max_ms,
        )
        if new.epochs:
            order.rate_lots, order.epochs_left = new.lots, new.epochs - 1
        floor = find_floor(side, price_uruv)
        if lifetime is POST_ONLY and matcher.would_match(order, floor):
            return [Rejected(new.id, new.owner, Code.WOULD_TAKE)]
        if lifetime is FOK and not matcher.can_fill(order, floor, new.budget_uruv):
            return [Rejected(new.id, new.owner, Code.CANNOT_FILL)]
        self._seq = order.seq
        events: list[Event] = []
        reason = matcher.match(order, floor, new.budget_uruv, events)
        if order.lots or order.epochs_left:
            reason = reason or (IMMEDIATE if is_immediate else None)
            matcher.settle(order, reason, events)
        return events

    def cancel(self, message: Cancel) -> list[Event]:
        """Take an order out."""
        order = self._find_own(message)
        if not isinstance(order, RestingOrder):
            return [order]
        return [self._matcher.withdraw(order, OWNER)]

    def cancel_all(self, message: CancelAll) -> list[Event]:
        """Take all orders of an owner out, in the order in which they came."""
        owned = self.list_owned(message.owner)
        return [self._matcher.withdraw(order, OWNER) for order in owned]

    def reduce(self, message: Reduce) -> list[Event]:
        """Leave fewer lots of an order in its place. A rate offer is cancelled and placed anew."""
        order = self._find_own(message)
        if not isinstance(order, RestingOrder):
            return [order]
        if order.rate_lots:
            return [Rejected(order.id, message.owner, Code.BAD_TERMS)]
        if not 0 <= message.lots < order.lots:
            return [Rejected(order.id, message.owner, Code.BAD_LOTS)]
        if not message.lots:
            return [self._matcher.withdraw(order, Reason.REDUCED)]
        lost, order.lots = order.lots - message.lots, message.lots
        return [Cancelled(order.id, order.owner, lost, Reason.REDUCED)]

    def replace(self, message: Replace) -> list[Event]:
        """Change price or lots of an order, which then comes anew with the expiry it had."""
        order = self._find_own(message)
        if not isinstance(order, RestingOrder):
            return [order]
        code = find_price_fault(message.price_uruv, message.lots, self.instrument)
        if order.rate_lots:
            code = Code.BAD_TERMS
        if code is not None:
            return [Rejected(order.id, message.owner, code)]
        is_smaller = message.price_uruv == order.price_uruv and message.lots < order.lots
        if is_smaller and not message.always_requeue:
            return self.reduce(Reduce(order.id, message.owner, message.lots))
        events: list[Event] = [self._matcher.withdraw(order, Reason.REPLACED)]
        order.price_uruv, order.lots = message.price_uruv, message.lots
        self._come_anew(order, events)
        return events

    # --- time ------------------------------------------------------------------------------------

    def advance(self, now_ms: int) -> list[Event]:
        """Come to a later time: orders that expire at or before it are gone.

        All that is due goes at once; the number of orders in a book bounds it.
        """
        if now_ms <= self._now_ms:
            return []
        self._now_ms = now_ms
        matcher = self._matcher
        return [
            matcher.withdraw(order, EXPIRED)
            for _, order in matcher.expiries.take_due(now_ms)
            if matcher.is_alive(order)
        ]

    def find_expiry(self) -> int | None:
        """When the next order expires; None for never."""
        return self._matcher.expiries.find_next()

    def begin_epoch(self) -> list[Event]:
        """What rate offers did not sell is gone, and each shows its lots anew, oldest first."""
        return [event for order in self.list_rated() for event in self.renew(order.id)]

    def renew(self, id_: OrderId) -> list[Event]:
        """One rate offer comes to its next epoch, or to its end; nothing for any other order.

        For whoever sets money aside for each: an offer that cannot be afforded is cancelled
        instead, before it is renewed.
        """
        if id_ not in self._matcher.rated:
            return []
        order = self._orders[id_]
        events: list[Event] = [self._matcher.withdraw(order, Reason.EPOCH)]
        if order.epochs_left:
            order.epochs_left -= 1
            order.lots = order.rate_lots
            self._come_anew(order, events)
        return events

    def retier(self, id_: OrderId, tiers: int) -> list[Event]:
        """Move an order to other tiers, as when a reputation has changed; it keeps its seq.

        What it now fits and crosses it trades with at once, as if it came. Nothing happens to an
        order that is not known, or if there are no such tiers.
        """
        order = self._orders.get(id_)
        if order is None or not self.instrument.tiers.is_code(tiers):
            return []
        self._matcher.withdraw(order, Reason.REPLACED)
        order.tiers = tiers
        events: list[Event] = []
        self._matcher.take_up(order, events)
        return events

    # --- looking ---------------------------------------------------------------------------------

    @property
    def trades(self) -> int:
        """Trades since the beginning."""
        return self._matcher.trades

    def list_owned(self, owner: Owner) -> list[RestingOrder]:
        """The orders of an owner, oldest first, to be read only."""
        return self._list(self._matcher.owned.get(owner, ()))

    def list_rated(self) -> list[RestingOrder]:
        """Rate offers, oldest first, those that are sold out in this epoch included."""
        return self._list(self._matcher.rated)

    def list_resting(self, side: Side) -> list[RestingOrder]:
        """What rests on a side, best first, to be read only."""
        return (self._matcher.bids if side is Side.BID else self._matcher.offers).list_orders()

    def describe(self) -> BookSnapshot:
        """All but the orders, whoever digests those one by one."""
        return BookSnapshot(self._now_ms, self._seq, self._matcher.trades, ())

    def snapshot(self) -> BookSnapshot:
        """The whole state, as a value that later messages do not change."""
        orders = tuple(msgspec.structs.replace(each) for each in self._list(self._orders))
        return msgspec.structs.replace(self.describe(), orders=orders)

    @classmethod
    def restore(cls, instrument: Instrument, snapshot: BookSnapshot) -> Book:
        """The book that a snapshot was taken of. Raises `InvalidBook`."""
        book = cls(instrument)
        matcher, last = book._matcher, 0
        for stored in snapshot.orders:
            if stored.seq <= last or stored.id in book._orders:
                raise InvalidBook(f"order {stored.id!r} is not stored in its place")
            if not instrument.tiers.is_code(stored.tiers):
                raise InvalidBook(f"order {stored.id!r} has tiers that do not exist here")
            last = stored.seq
            matcher.restore(msgspec.structs.replace(stored))
        if last > snapshot.seq:
            raise InvalidBook(f"the last order has seq {last}, beyond {snapshot.seq}")
        book._now_ms, book._seq, matcher.trades = snapshot.now_ms, snapshot.seq, snapshot.trades
        return book

    # --- inside ----------------------------------------------------------------------------------

    def _come_anew(self, order: RestingOrder, events: list[Event]) -> None:
        self._seq += 1
        order.seq = self._seq
        self._matcher.take_up(order, events)

    def _find_own(self, message: Cancel | Reduce | Replace) -> RestingOrder | Rejected:
        order = self._orders.get(message.id)
        if order is None:
            return Rejected(message.id, message.owner, Code.UNKNOWN_ORDER)
        if order.owner != message.owner:
            return Rejected(message.id, message.owner, Code.FOREIGN_ORDER)
        return order

    def _list(self, ids: Iterable[OrderId]) -> list[RestingOrder]:
        return sorted((self._orders[id_] for id_ in ids), key=get_seq)


_ROUTES: Final[dict[type, Callable[[Book, Any], list[Event]]]] = {
    NewOrder: Book.submit,
    Cancel: Book.cancel,
    CancelAll: Book.cancel_all,
    Reduce: Book.reduce,
    Replace: Book.replace,
}
