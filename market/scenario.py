"""Cases in a small neutral notation: messages to a book, and the events they must lead to.

docs/market-notation.md describes the notation. Names of orders and owners are numbers or text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias, assert_never

import msgspec

from dag.errors import MeshError
from market.book import Book
from market.instruments import (
    FILLS_MAX,
    ORDER_LIFE_MAX_MS,
    STANDARD_TICKS,
    Instrument,
)
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Event,
    Filled,
    NewOrder,
    OrderId,
    Reduce,
    Rejected,
    Replace,
    Rested,
    Side,
    TimeInForce,
)
from market.tiers import STANDARD_TIERS, Dimension, TierScheme

Name: TypeAlias = int | str
Values: TypeAlias = dict[str, int]
Line: TypeAlias = list[Any]
"""An event as cases write it."""

CASES_MAX: Final = 10_000


class InvalidCase(MeshError):
    """A document that is not of the notation; the message says where."""

    code = "invalid_case"


class _Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    expect: list[Line] | None = None
    """Events that follow, in order; None for any."""


class LimitStep(_Step, frozen=True, kw_only=True, tag="limit"):
    """An order with a limit."""

    id: Name
    owner: Name
    side: Side
    price: int
    lots: int
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ms: int = 0
    epochs: int = 0
    group: Name | None = None
    attributes: Values = {}
    flags: list[str] = []


class MarketStep(_Step, frozen=True, kw_only=True, tag="market"):
    """An order without a limit, within a budget."""

    id: Name
    owner: Name
    side: Side
    lots: int
    budget: int
    time_in_force: TimeInForce = TimeInForce.IOC
    group: Name | None = None
    attributes: Values = {}
    flags: list[str] = []


class CancelStep(_Step, frozen=True, kw_only=True, tag="cancel"):
    """Take an order out."""

    id: Name
    owner: Name


class CancelAllStep(_Step, frozen=True, kw_only=True, tag="cancel_all"):
    """Take all orders of an owner out."""

    owner: Name


class ReduceStep(_Step, frozen=True, kw_only=True, tag="reduce"):
    """Leave fewer lots."""

    id: Name
    owner: Name
    lots: int


class ReplaceStep(_Step, frozen=True, kw_only=True, tag="replace"):
    """Another price, or more lots."""

    id: Name
    owner: Name
    price: int
    lots: int
    always_requeue: bool = False


class TimeStep(_Step, frozen=True, kw_only=True, tag="time"):
    """A later time."""

    ms: int


class EpochStep(_Step, frozen=True, kw_only=True, tag="epoch"):
    """The next epoch begins."""


class RetierStep(_Step, frozen=True, kw_only=True, tag="retier"):
    """An offer gives other attributes from now on."""

    id: Name
    attributes: Values = {}
    flags: list[str] = []


Step: TypeAlias = (
    LimitStep
    | MarketStep
    | CancelStep
    | CancelAllStep
    | ReduceStep
    | ReplaceStep
    | TimeStep
    | EpochStep
    | RetierStep
)


class InstrumentPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The instrument of a case; whatever is left out is as in the standard one."""

    dimensions: list[Dimension] | None = None
    flags: list[str] = []
    """Only beside `dimensions`."""
    ticks: tuple[tuple[int, int], ...] = STANDARD_TICKS
    fills_max: int = FILLS_MAX
    order_life_max_ms: int = ORDER_LIFE_MAX_MS
    allows_self_trades: bool = False

    def build(self) -> Instrument:
        """The instrument itself. Raises `InvalidTiers` and `InvalidInstrument`."""
        tiers = STANDARD_TIERS
        if self.dimensions is not None:
            tiers = TierScheme(self.dimensions, self.flags)
        return Instrument(
            model_variant="case",
            tiers=tiers,
            ticks=self.ticks,
            fills_max=self.fills_max,
            order_life_max_ms=self.order_life_max_ms,
            allows_self_trades=self.allows_self_trades,
        )


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Steps from an empty book on."""

    id: str
    steps: list[Step]
    instrument: InstrumentPart = InstrumentPart()
    trades: list[Line] | None = None
    """[taker, maker, price, lots] of all trades, in order."""
    book: list[Line] | None = None
    """[id, side, price, lots] of what rests in the end: bids, then offers, best first."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cases of one file."""

    cases: list[Case]


class Mismatch(msgspec.Struct, frozen=True):
    """Where a case comes out otherwise."""

    where: str
    expected: object
    got: object


def parse_document(data: bytes) -> Document:
    """The cases of a file. Raises `InvalidCase`."""
    try:
        document = msgspec.json.decode(data, type=Document)
    except msgspec.DecodeError as error:
        raise InvalidCase(str(error), hint="docs/market-notation.md has the notation") from None
    if len(document.cases) > CASES_MAX:
        raise InvalidCase(f"a file has at most {CASES_MAX} cases, not {len(document.cases)}")
    return document


def play(case: Case) -> Mismatch | None:
    """Play a case through a book; answers the first mismatch. Raises a `MeshError` if it cannot."""
    book = Book(case.instrument.build())
    trades: list[Line] = []
    for number, step in enumerate(case.steps, 1):
        events = _follow(book, step)
        trades += [
            [_name(event.taker), _name(event.maker), event.price_uruv, event.lots]
            for event in events
            if isinstance(event, Filled)
        ]
        got = [describe(event) for event in events]
        if step.expect is not None and step.expect != got:
            return Mismatch(f"step {number}", step.expect, got)
    if case.trades is not None and case.trades != trades:
        return Mismatch("trades", case.trades, trades)
    resting = list(_list_resting(book))
    if case.book is not None and case.book != resting:
        return Mismatch("book", case.book, resting)
    return None


def describe(event: Event) -> Line:
    """An event as cases write it."""
    match event:
        case Filled():
            return ["fill", _name(event.maker), event.price_uruv, event.lots]
        case Rested():
            return ["rest", _name(event.id), event.lots]
        case Cancelled():
            return ["cancel", _name(event.id), event.lots, str(event.reason)]
        case Rejected():
            return ["reject", str(event.code)]
        case _:
            assert_never(event)


def _list_resting(book: Book) -> Iterator[Line]:
    for side in (Side.BID, Side.OFFER):
        for order in book.list_resting(side):
            yield [_name(order.id), str(side), order.price_uruv, order.lots]


def _follow(book: Book, step: Step) -> Sequence[Event]:
    match step:
        case LimitStep() | MarketStep():
            return book.submit(_make_order(book, step))
        case CancelStep():
            return book.cancel(Cancel(_id(step.id), _id(step.owner)))
        case CancelAllStep():
            return book.cancel_all(CancelAll(_id(step.owner)))
        case ReduceStep():
            return book.reduce(Reduce(_id(step.id), _id(step.owner), step.lots))
        case ReplaceStep():
            replace = Replace(
                _id(step.id), _id(step.owner), step.price, step.lots, step.always_requeue
            )
            return book.replace(replace)
        case TimeStep():
            return book.advance(step.ms)
        case EpochStep():
            return book.begin_epoch()
        case RetierStep():
            tiers = book.instrument.tiers.encode_offer(step.attributes, step.flags)
            return book.retier(_id(step.id), tiers)
        case _:
            assert_never(step)


def _make_order(book: Book, step: LimitStep | MarketStep) -> NewOrder:
    scheme = book.instrument.tiers
    encode = scheme.encode_bid if step.side is Side.BID else scheme.encode_offer
    order = NewOrder(
        id=_id(step.id),
        owner=_id(step.owner),
        side=step.side,
        price_uruv=None,
        lots=step.lots,
        tiers=encode(step.attributes, step.flags),
        time_in_force=step.time_in_force,
        group=None if step.group is None else _id(step.group),
    )
    if isinstance(step, MarketStep):
        return msgspec.structs.replace(order, budget_uruv=step.budget)
    return msgspec.structs.replace(
        order, price_uruv=step.price, expires_ms=step.expires_ms, epochs=step.epochs
    )


def _id(name: Name) -> OrderId:
    return name.encode() if isinstance(name, str) else name


def _name(id_: OrderId) -> Name:
    return id_.decode() if isinstance(id_, bytes) else id_
