"""Plays the streams of `market.workload` through books, and digests what comes of them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec

from market.book import Book
from market.instruments import BUDGET_MAX_URUV, UNIT_TICKS, Instrument
from market.orders import (
    Cancel,
    Event,
    Filled,
    Message,
    NewOrder,
    OrderId,
    Reduce,
    Replace,
    Side,
    TimeInForce,
)
from market.tiers import PLAIN_TIERS, Dimension, TierScheme
from market.workload import Op

Trade: TypeAlias = tuple[OrderId, OrderId, int, int]
"""Taker, maker, price, quantity."""
Row: TypeAlias = tuple[OrderId, int, int, int]
"""Id, side (0 bid, 1 ask), price, quantity of an order that rests."""

UNBOUNDED: Final = 1 << 62
SIDES: Final = (Side.BID, Side.OFFER)
TIMES_IN_FORCE: Final = (
    TimeInForce.GTC,
    TimeInForce.IOC,
    TimeInForce.FOK,
    TimeInForce.POST_ONLY,
)
NOBODY: Final = 0
"""Owner of the orders that are gone: streams count owners from 1."""
CAPACITY_TIERS: Final = TierScheme(
    (
        Dimension("context", (0, 1, 2, 3)),
        Dimension("sla", (0, 1, 2)),
        Dimension("reputation_bp", (0, 4_000, 5_000, 6_000, 7_000)),
    )
)
FULL_INSTRUMENT: Final = Instrument(
    model_variant="full",
    tiers=PLAIN_TIERS,
    ticks=UNIT_TICKS,
    fills_max=UNBOUNDED,
    resting_max=UNBOUNDED,
)
CORE_INSTRUMENT: Final = msgspec.structs.replace(FULL_INSTRUMENT, allows_self_trades=True)
CAPACITY_INSTRUMENT: Final = Instrument(
    model_variant="capacity",
    tiers=CAPACITY_TIERS,
    ticks=UNIT_TICKS,
    fills_max=UNBOUNDED,
    resting_max=UNBOUNDED,
)


class Outcome(NamedTuple):
    """What came of a stream."""

    trades: Sequence[Trade]
    resting: Sequence[Row]
    """Bids, then asks; best first, and first come first."""

    def count_levels(self) -> int:
        """Prices at which orders rest, of both sides together."""
        return len(dict.fromkeys((side, price) for _, side, price, _ in self.resting))

    def sum_volume(self) -> int:
        """Quantity of all trades."""
        return sum(quantity for *_, quantity in self.trades)


def play_messages(ops: Iterable[Op], instrument: Instrument) -> Outcome:
    """The messages of `core` or `full` through the book."""
    book, trades = Book(instrument), list[Trade]()
    for op in ops:
        trades += list_trades(book.apply(translate_message(op, book)))
    return Outcome(trades, list_rows(book))


def translate_message(op: Op, book: Book) -> Message:
    """One message of `core` or `full`; the book is asked who owns the order that it names."""
    kind, id_, *rest = op
    match kind:
        case "L":
            side, price, lots, owner, *terms = rest
            time_in_force = TIMES_IN_FORCE[terms[0] if terms else 0]
            return NewOrder(id_, owner, SIDES[side], price, lots, 0, time_in_force)
        case "M":
            side, lots, owner = rest
            order = NewOrder(id_, owner, SIDES[side], None, lots, 0, TimeInForce.IOC)
            return msgspec.structs.replace(order, budget_uruv=BUDGET_MAX_URUV)
    named = book.get(id_)
    owner = NOBODY if named is None else named.owner
    match kind:
        case "R":
            return Reduce(id_, owner, rest[0])
        case "P":
            return Replace(id_, owner, rest[0], rest[1], always_requeue=True)
        case _:
            return Cancel(id_, owner)


def play_capacity(ops: Iterable[Op]) -> Outcome:
    """Offers and bids with tiers through the book; a block is a millisecond."""
    book, trades, translator = Book(CAPACITY_INSTRUMENT), list[Trade](), CapacityTranslator()
    for op in ops:
        book.advance(op[2])
        trades += list_trades(book.submit(translator.translate(op)))
    return Outcome(trades, list_rows(book))


class CapacityTranslator:
    """Makes orders of the messages of `capacity`, and remembers what attributes come to."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, int, int, int], int] = {}

    def translate(self, op: Op) -> NewOrder:
        """One offer or bid."""
        kind, id_, _, owner, context, sla, reputation_bp, price, lots, expiry = op
        key = (kind, context, sla, reputation_bp)
        tiers = self._codes.get(key)
        if tiers is None:
            tiers = self._codes[key] = _find_tiers(*key)
        side = Side.OFFER if kind == "O" else Side.BID
        return NewOrder(id_, owner, side, price, lots, tiers, TimeInForce.GTD, expiry)


def _find_tiers(kind: str, context: int, sla: int, reputation_bp: int) -> int:
    values = {"context": context, "sla": sla, "reputation_bp": reputation_bp}
    return (CAPACITY_TIERS.encode_offer if kind == "O" else CAPACITY_TIERS.encode_bid)(values)


def list_trades(events: Iterable[Event]) -> list[Trade]:
    """The trades among events."""
    return [
        (event.taker, event.maker, event.price_uruv, event.lots)
        for event in events
        if isinstance(event, Filled)
    ]


def list_rows(book: Book) -> list[Row]:
    """What rests in a book of a stream."""
    return [
        (order.id, number, order.price_uruv, order.lots)
        for number, side in enumerate(SIDES)
        for order in book.list_resting(side)
    ]


def digest_rows(rows: Iterable[Sequence[OrderId]]) -> str:
    """The first 16 hex digits of SHA-256 over all numbers, little-endian, 8 bytes each."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(struct.pack(f"<{len(row)}Q", *row))
    return digest.hexdigest()[:16]


def digest_ops(ops: Sequence[Op]) -> str:
    """The first 16 hex digits of SHA-256 over the stream as Python writes a list of tuples."""
    return hashlib.sha256(repr(list(ops)).encode()).hexdigest()[:16]
