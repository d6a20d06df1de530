"""The book beside a dictionary with linear scans, for any messages; and what must hold by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from market.book import Book
from market.instruments import Instrument
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Event,
    Filled,
    Message,
    NewOrder,
    Reduce,
    Rejected,
    Replace,
    Rested,
    Side,
    TimeInForce,
)
from market.tiers import Dimension, TierScheme
from tests.support.naive_book import NaiveBook

TIERS = TierScheme((Dimension("size", (1, 2, 3)), Dimension("speed", (1, 2))), ("tee",))
INSTRUMENT = Instrument(
    model_variant="m/fp8", tiers=TIERS, fills_max=4, resting_max=14, order_life_max_ms=20
)
Step = Callable[[Book, NaiveBook], tuple[list[Event], list[Event]]]

ids = st.integers(1, 16)
owners = st.integers(1, 5)
prices = st.integers(95, 105)
lots = st.integers(1, 8)
codes = st.sampled_from(TIERS.codes())
groups = st.sampled_from([None, None, None, 90])


@st.composite
def new_orders(draw: st.DrawFn) -> NewOrder:
    id_, owner, side = draw(ids), draw(owners), draw(st.sampled_from(Side))
    kind = draw(st.sampled_from(["gtc", "gtc", "gtd", "ioc", "fok", "post_only", "market", "rate"]))
    common: dict[str, Any] = {"tiers": draw(codes), "group": draw(groups)}
    if kind == "market":
        force = draw(st.sampled_from([TimeInForce.IOC, TimeInForce.FOK]))
        budget = draw(st.integers(1, 1_500))
        return NewOrder(
            id_, owner, side, None, draw(lots), time_in_force=force, budget_uruv=budget, **common
        )
    if kind == "rate":
        epochs = draw(st.integers(1, 3))
        return NewOrder(id_, owner, Side.OFFER, draw(prices), draw(lots), epochs=epochs, **common)
    return NewOrder(
        id_,
        owner,
        side,
        draw(prices),
        draw(lots),
        time_in_force=TimeInForce(kind),
        expires_ms=draw(st.integers(1, 40)) if kind == "gtd" else 0,
        **common,
    )


messages = st.one_of(
    new_orders(),
    new_orders(),
    new_orders(),
    st.builds(Cancel, ids, owners),
    st.builds(CancelAll, owners),
    st.builds(Reduce, ids, owners, st.integers(-1, 8)),
    st.builds(Replace, ids, owners, st.integers(94, 1_001), st.integers(0, 8), st.booleans()),
)


def _give(message: Message) -> Step:
    return lambda book, model: (book.apply(message), list(model.apply(message)))


def _advance(now_ms: int) -> Step:
    return lambda book, model: (book.advance(now_ms), list(model.advance(now_ms)))


def _begin_epoch(_: None) -> Step:
    return lambda book, model: (book.begin_epoch(), list(model.begin_epoch()))


def _retier(move: tuple[int, int]) -> Step:
    return lambda book, model: (book.retier(*move), list(model.retier(*move)))


steps = st.one_of(
    *[messages.map(_give)] * 6,
    st.integers(0, 40).map(_advance),
    st.none().map(_begin_epoch),
    st.tuples(ids, codes).map(_retier),
)


def show(book: Book) -> list[tuple[object, ...]]:
    return [
        (each.id, each.side, each.price_uruv, each.lots, each.tiers, each.seq, each.epochs_left)
        for each in book.snapshot().orders
    ]


def show_model(model: NaiveBook) -> list[tuple[object, ...]]:
    return [
        (row.id, row.side, row.price, row.lots, row.tiers, row.seq, row.epochs)
        for row in model.by_seq()
    ]


@given(st.lists(steps, min_size=5, max_size=60))
def test_book_does_what_the_model_does(plan: list[Step]):
    book, model = Book(INSTRUMENT), NaiveBook(INSTRUMENT)
    for step in plan:
        got, expected = step(book, model)
        assert got == expected
        assert show(book) == show_model(model)
        assert not model.crossed_pairs()
        assert book.find_expiry() == min((r.expires_ms for r in model.rows.values()), default=None)


@given(st.lists(steps, min_size=2, max_size=40), st.lists(steps, max_size=20))
def test_restored_book_goes_on_as_the_first_one(before: list[Step], after: list[Step]):
    book, model = Book(INSTRUMENT), NaiveBook(INSTRUMENT)
    for step in before:
        step(book, model)
    stored = book.snapshot()
    twin, twin_model = Book.restore(INSTRUMENT, stored), NaiveBook(INSTRUMENT)
    assert twin.snapshot() == stored
    for step in after:
        assert step(twin, twin_model)[0] == step(book, model)[0]
    assert twin.snapshot() == book.snapshot()
    assert Book.restore(INSTRUMENT, stored).snapshot() == stored


@given(st.lists(new_orders() | st.builds(Cancel, ids, owners), max_size=60))
def test_every_lot_is_filled_cancelled_or_rests(given_: list[NewOrder | Cancel]):
    book = Book(INSTRUMENT)
    taken: Counter[object] = Counter()
    for message in given_:
        events = book.apply(message)
        if isinstance(message, NewOrder) and not any(
            e.__class__.__name__ == "Rejected" for e in events
        ):
            taken[message.id] += message.lots
        for event in events:
            if isinstance(event, Filled):
                taken[event.taker] -= event.lots
                taken[event.maker] -= event.lots
            elif isinstance(event, Cancelled):
                taken[event.id] -= event.lots
    assert {key: left for key, left in taken.items() if left} == {
        order.id: order.lots for order in book.snapshot().orders if order.lots
    }


@given(st.lists(messages, max_size=60))
def test_nobody_trades_with_the_own_family_beyond_a_limit_or_too_often(given_: list[Message]):
    book = Book(INSTRUMENT)
    for message in given_:
        known = {order.id: order for order in book.snapshot().orders}
        events = book.apply(message)
        fills = [event for event in events if isinstance(event, Filled)]
        assert len(fills) <= INSTRUMENT.fills_max
        for fill in fills:
            maker = known[fill.maker]
            assert fill.price_uruv == maker.price_uruv
            assert fill.maker_owner != fill.taker_owner
        if isinstance(message, NewOrder):
            group = message.group
            assert group is None or all(known[fill.maker].group != group for fill in fills)
            if message.price_uruv is None:
                assert sum(f.price_uruv * f.lots for f in fills) <= message.budget_uruv
            elif message.side is Side.BID:
                assert all(fill.price_uruv <= message.price_uruv for fill in fills)
            else:
                assert all(fill.price_uruv >= message.price_uruv for fill in fills)
            rests = any(isinstance(event, Rested) for event in events)
            assert not (rests and message.time_in_force in {TimeInForce.IOC, TimeInForce.FOK})
            assert not (fills and message.time_in_force is TimeInForce.POST_ONLY)


numbers = st.integers() | st.sampled_from([0, -1, 1 << 20, 1 << 40, 1 << 62])
strange_messages = st.one_of(
    st.builds(
        NewOrder,
        ids,
        owners,
        st.sampled_from(Side),
        numbers | st.none(),
        numbers,
        numbers | codes,
        st.sampled_from(TimeInForce),
        numbers | st.just(0),
        numbers | st.just(0),
        numbers | st.just(0),
    ),
    st.builds(Reduce, ids, owners, numbers),
    st.builds(Replace, ids, owners, numbers, numbers, st.booleans()),
)


@given(st.lists(messages, max_size=20), strange_messages)
def test_message_of_any_numbers_is_followed_or_rejected_without_effect(
    before: list[Message], strange: Message
):
    book = Book(INSTRUMENT)
    for message in before:
        book.apply(message)
    stored = book.snapshot()
    events = book.apply(strange)
    if any(isinstance(event, Rejected) for event in events):
        assert len(events) == 1
        assert book.snapshot() == stored
    else:
        assert events
    assert book.advance(1 << 70) is not None
    assert len(book) == 0
