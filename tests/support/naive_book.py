"""The rules of the order book as a dictionary and linear scans: obvious, slow, and nothing shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from market.instruments import Instrument
from market.order_checks import find_fault, find_price_fault
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Code,
    Event,
    Filled,
    Message,
    NewOrder,
    OrderId,
    Owner,
    Reason,
    Reduce,
    Rejected,
    Replace,
    Rested,
    Side,
    TimeInForce,
)

IMMEDIATE = (TimeInForce.IOC, TimeInForce.FOK)


@dataclass
class Row:
    id: OrderId
    owner: Owner
    group: Owner | None
    side: Side
    price: int
    lots: int
    tiers: int
    seq: int
    expires_ms: int
    rate: int = 0
    epochs: int = 0


class NaiveBook:
    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.rows: dict[OrderId, Row] = {}
        self.now_ms = self.seq = self.trades = 0

    def by_seq(self) -> list[Row]:
        return sorted(self.rows.values(), key=lambda row: row.seq)

    def crosses(self, offer: Row, bid: Row) -> bool:
        unpack = self.instrument.tiers.unpack
        pairs = zip(unpack(offer.tiers), unpack(bid.tiers), strict=True)
        return offer.price <= bid.price and all(given >= asked for given, asked in pairs)

    def crossed_pairs(self) -> list[tuple[Row, Row]]:
        resting = [row for row in self.rows.values() if row.lots]
        offers = [row for row in resting if row.side is Side.OFFER]
        bids = [row for row in resting if row.side is Side.BID]
        return [(offer, bid) for offer in offers for bid in bids if self.crosses(offer, bid)]

    def makers(self, taker: Row) -> list[Row]:
        if taker.side is Side.BID:
            found = [r for r in self.rows.values() if r.side is Side.OFFER and r.lots]
            fitting = [row for row in found if self.crosses(row, taker)]
            return sorted(fitting, key=lambda row: (row.price, row.seq))
        found = [r for r in self.rows.values() if r.side is Side.BID and r.lots]
        fitting = [row for row in found if self.crosses(taker, row)]
        return sorted(fitting, key=lambda row: (-row.price, row.seq))

    def are_related(self, one: Row, other: Row) -> bool:
        if self.instrument.allows_self_trades:
            return False
        return one.owner == other.owner or (one.group is not None and one.group == other.group)

    def plan(self, taker: Row, budget: int) -> tuple[list[tuple[Row, int]], Reason | None]:
        """Makers and the lots they trade, 0 for those that are cancelled; and what stops it."""
        left, planned = taker.lots, list[tuple[Row, int]]()
        for maker in self.makers(taker):
            if not left:
                break
            if len(planned) == self.instrument.fills_max:
                return planned, Reason.MAX_FILLS
            if self.are_related(maker, taker):
                planned.append((maker, 0))
                continue
            traded = min(left, maker.lots)
            if budget:
                spent = sum(lots * row.price for row, lots in planned)
                traded = min(traded, (budget - spent) // maker.price)
                if not traded:
                    return planned, Reason.BUDGET
            planned.append((maker, traded))
            left -= traded
            if left and traded < maker.lots:
                return planned, Reason.BUDGET
        return planned, None

    def trade(self, taker: Row, budget: int) -> Iterator[Event]:
        planned, reason = self.plan(taker, budget)
        for maker, traded in planned:
            if not traded:
                del self.rows[maker.id]
                yield Cancelled(maker.id, maker.owner, maker.lots, Reason.SELF_TRADE)
                continue
            self.trades += 1
            taker.lots -= traded
            maker.lots -= traded
            if not maker.lots and not maker.epochs:
                del self.rows[maker.id]
            names = (taker.id, maker.id, taker.owner, maker.owner, taker.side)
            yield Filled(self.trades, *names, maker.price, traded)
        if taker.lots and reason:
            yield Cancelled(taker.id, taker.owner, taker.lots, reason)
            taker.lots = 0

    def enter(self, taker: Row) -> Iterator[Event]:
        yield from self.trade(taker, 0)
        if taker.lots or taker.epochs:
            self.rows[taker.id] = taker
        if taker.lots:
            yield Rested(taker.id, taker.owner, taker.lots, taker.seq)

    def apply(self, message: Message) -> Iterator[Event]:
        if isinstance(message, NewOrder):
            yield from self.submit(message)
        elif isinstance(message, CancelAll):
            for row in self.by_seq():
                if row.owner == message.owner:
                    yield self.drop(row, Reason.OWNER)
        elif message.id not in self.rows:
            yield Rejected(message.id, message.owner, Code.UNKNOWN_ORDER)
        elif self.rows[message.id].owner != message.owner:
            yield Rejected(message.id, message.owner, Code.FOREIGN_ORDER)
        else:
            yield from self.change(message, self.rows[message.id])

    def submit(self, new: NewOrder) -> Iterator[Event]:
        code = find_fault(new, self.instrument, self.now_ms)
        is_full = len(self.rows) >= self.instrument.resting_max
        if new.id in self.rows:
            code = Code.DUPLICATE_ID
        elif code is None and is_full and new.time_in_force not in IMMEDIATE:
            code = Code.BOOK_FULL
        price = new.price_uruv
        if price is None:
            price = 10**20 if new.side is Side.BID else 0
        expires_ms = new.expires_ms or self.now_ms + self.instrument.order_life_max_ms
        row = Row(new.id, new.owner, new.group, new.side, price, new.lots, new.tiers, 0, expires_ms)
        if new.epochs:
            row.rate, row.epochs = new.lots, new.epochs - 1
        if code is None:
            filled = sum(lots for _, lots in self.plan(row, new.budget_uruv)[0])
            if new.time_in_force is TimeInForce.POST_ONLY and self.makers(row):
                code = Code.WOULD_TAKE
            if new.time_in_force is TimeInForce.FOK and filled < new.lots:
                code = Code.CANNOT_FILL
        if code is not None:
            yield Rejected(new.id, new.owner, code)
            return
        self.seq += 1
        row.seq = self.seq
        if new.time_in_force not in IMMEDIATE:
            yield from self.enter(row)
            return
        yield from self.trade(row, new.budget_uruv)
        if row.lots:
            yield Cancelled(row.id, row.owner, row.lots, Reason.IMMEDIATE)

    def change(self, message: Cancel | Reduce | Replace, row: Row) -> Iterator[Event]:
        if isinstance(message, Cancel):
            yield self.drop(row, Reason.OWNER)
            return
        if row.rate:
            yield Rejected(row.id, row.owner, Code.BAD_TERMS)
            return
        if isinstance(message, Replace):
            code = find_price_fault(message.price_uruv, message.lots, self.instrument)
            is_smaller = message.price_uruv == row.price and message.lots < row.lots
            if code is not None:
                yield Rejected(row.id, row.owner, code)
                return
            if not is_smaller or message.always_requeue:
                yield self.drop(row, Reason.REPLACED)
                self.seq += 1
                row.price, row.lots, row.seq = message.price_uruv, message.lots, self.seq
                yield from self.enter(row)
                return
        if not 0 <= message.lots < row.lots:
            yield Rejected(row.id, row.owner, Code.BAD_LOTS)
        elif message.lots:
            yield Cancelled(row.id, row.owner, row.lots - message.lots, Reason.REDUCED)
            row.lots = message.lots
        else:
            yield self.drop(row, Reason.REDUCED)

    def drop(self, row: Row, reason: Reason) -> Event:
        del self.rows[row.id]
        return Cancelled(row.id, row.owner, row.lots, reason)

    def advance(self, now_ms: int) -> Iterator[Event]:
        self.now_ms = max(self.now_ms, now_ms)
        for row in sorted(self.by_seq(), key=lambda row: row.expires_ms):
            if row.expires_ms <= self.now_ms:
                yield self.drop(row, Reason.EXPIRED)

    def begin_epoch(self) -> Iterator[Event]:
        for row in [row for row in self.by_seq() if row.rate]:
            yield self.drop(row, Reason.EPOCH)
            if row.epochs:
                self.seq += 1
                row.epochs, row.lots, row.seq = row.epochs - 1, row.rate, self.seq
                yield from self.enter(row)

    def retier(self, id_: OrderId, tiers: int) -> Iterator[Event]:
        row = self.rows.pop(id_, None)
        if row is not None:
            row.tiers = tiers
            yield from self.enter(row)
