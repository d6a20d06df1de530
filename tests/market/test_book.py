"""The order book by hand: every kind of order, every reason, and the faults real engines have had."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from market.book import _ROUTES, Book, InvalidBook
from market.instruments import ORDER_LIFE_MAX_MS, Instrument
from market.orders import (
    Cancel,
    CancelAll,
    Cancelled,
    Code,
    Event,
    Filled,
    Message,
    NewOrder,
    Reason,
    Reduce,
    Rejected,
    Replace,
    Rested,
    Side,
    TimeInForce,
)
from market.tiers import Dimension, TierScheme

TIERS = TierScheme((Dimension("size", (1, 2, 3)), Dimension("speed", (1, 2))))
INSTRUMENT = Instrument(model_variant="m/fp8", tiers=TIERS)
BUYER, SELLER, OTHER = 1, 2, 3
GTD, IOC, FOK, POST_ONLY = (TimeInForce(name) for name in ("gtd", "ioc", "fok", "post_only"))


def bid(id_: int, price: int | None, lots: int, owner: int = BUYER, **terms: Any) -> NewOrder:
    return NewOrder(id_, owner, Side.BID, price, lots, **terms)


def offer(id_: int, price: int | None, lots: int, owner: int = SELLER, **terms: Any) -> NewOrder:
    return NewOrder(id_, owner, Side.OFFER, price, lots, **terms)


def make_book(*orders: NewOrder, **bounds: Any) -> Book:
    book = Book(msgspec.structs.replace(INSTRUMENT, **bounds))
    for each in orders:
        assert not any(isinstance(event, Rejected) for event in book.apply(each))
    return book


def fills(events: list[Event]) -> list[tuple[object, int, int]]:
    return [(e.maker, e.price_uruv, e.lots) for e in events if isinstance(e, Filled)]


def resting(book: Book) -> list[tuple[object, int]]:
    return [(each.id, each.lots) for side in Side for each in book.list_resting(side)]


# --- price, time, tiers --------------------------------------------------------------------------


def test_taker_trades_at_the_makers_prices_best_first_then_first_come():
    book = make_book(offer(1, 50, 2), offer(2, 40, 2), offer(3, 40, 2, OTHER))
    events = book.apply(bid(9, 50, 5))
    assert events == [
        Filled(1, 9, 2, BUYER, SELLER, Side.BID, 40, 2),
        Filled(2, 9, 3, BUYER, OTHER, Side.BID, 40, 2),
        Filled(3, 9, 1, BUYER, SELLER, Side.BID, 50, 1),
    ]
    assert resting(book) == [(1, 1)]
    assert book.trades == 3


def test_offer_that_comes_takes_the_highest_bids():
    book = make_book(bid(1, 50, 2), bid(2, 60, 2), bid(3, 60, 2))
    assert fills(book.apply(offer(9, 55, 5))) == [(2, 60, 2), (3, 60, 2)]
    assert resting(book) == [(1, 2), (9, 1)]


def test_better_offer_serves_a_lesser_bid_and_never_the_other_way_round():
    low, high = TIERS.pack((0, 0)), TIERS.pack((2, 1))
    book = make_book(offer(1, 40, 5, tiers=low), offer(2, 50, 5, tiers=high))
    assert fills(book.apply(bid(8, 60, 1, tiers=high))) == [(2, 50, 1)]
    assert fills(book.apply(bid(9, 60, 6, tiers=low))) == [(1, 40, 5), (2, 50, 1)]


def test_cheaper_offer_is_passed_over_when_one_dimension_falls_short():
    book = make_book(
        offer(1, 10, 5, tiers=TIERS.pack((2, 0))),
        offer(2, 20, 5, tiers=TIERS.pack((0, 1))),
        offer(3, 30, 5, tiers=TIERS.pack((1, 1))),
    )
    assert fills(book.apply(bid(9, 99, 1, tiers=TIERS.pack((1, 1))))) == [(3, 30, 1)]
    assert fills(book.apply(offer(8, 1, 1, tiers=TIERS.pack((0, 0))))) == []


# --- terms ---------------------------------------------------------------------------------------


def test_ioc_cancels_what_is_left():
    book = make_book(offer(1, 40, 2))
    events = book.apply(bid(9, 40, 5, time_in_force=IOC))
    assert events[-1] == Cancelled(9, BUYER, 3, Reason.IMMEDIATE)
    assert book.apply(bid(9, 40, 5, time_in_force=IOC)) == [
        Cancelled(9, BUYER, 5, Reason.IMMEDIATE)
    ]
    assert len(book) == 0


@pytest.mark.parametrize(("lots", "is_filled"), [(4, True), (5, False)])
def test_fok_trades_everything_or_leaves_no_trace(lots: int, is_filled: bool):
    book = make_book(offer(1, 40, 2), offer(2, 45, 2), offer(3, 60, 9))
    before = book.snapshot()
    events = book.apply(bid(9, 50, lots, time_in_force=FOK))
    if is_filled:
        assert fills(events) == [(1, 40, 2), (2, 45, 2)]
        return
    assert events == [Rejected(9, BUYER, Code.CANNOT_FILL)]
    assert book.snapshot() == before


def test_fok_does_not_count_own_orders():
    book = make_book(offer(1, 40, 2), offer(2, 41, 3, BUYER), offer(3, 42, 2, OTHER))
    assert book.apply(bid(8, 50, 5, time_in_force=FOK)) == [Rejected(8, BUYER, Code.CANNOT_FILL)]
    assert fills(book.apply(bid(9, 50, 4, time_in_force=FOK))) == [(1, 40, 2), (3, 42, 2)]
    assert len(book) == 0


def test_fok_is_refused_when_it_would_touch_too_many_orders():
    book = make_book(*(offer(id_, 40, 1) for id_ in range(1, 5)), fills_max=3)
    refused = book.apply(bid(8, 40, 4, time_in_force=FOK))
    assert refused == [Rejected(8, BUYER, Code.CANNOT_FILL)]
    assert len(fills(book.apply(bid(9, 40, 3, time_in_force=FOK)))) == 3


def test_post_only_rests_or_is_refused():
    book = make_book(offer(1, 40, 2))
    refused = book.apply(bid(8, 40, 1, time_in_force=POST_ONLY))
    assert refused == [Rejected(8, BUYER, Code.WOULD_TAKE)]
    assert book.apply(bid(9, 39, 1, time_in_force=POST_ONLY)) == [Rested(9, BUYER, 1, 2)]


def test_market_order_spends_no_more_than_its_budget():
    book = make_book(offer(1, 40, 2), offer(2, 50, 2))
    events = book.apply(bid(9, None, 4, time_in_force=IOC, budget_uruv=139))
    assert fills(events) == [(1, 40, 2), (2, 50, 1)]
    assert events[-1] == Cancelled(9, BUYER, 1, Reason.BUDGET)
    events = book.apply(bid(9, None, 1, time_in_force=IOC, budget_uruv=49))
    assert events == [Cancelled(9, BUYER, 1, Reason.BUDGET)]


def test_market_fok_must_fit_its_budget():
    book = make_book(offer(1, 40, 2), offer(2, 50, 2))
    refused = book.apply(bid(8, None, 3, time_in_force=FOK, budget_uruv=129))
    assert refused == [Rejected(8, BUYER, Code.CANNOT_FILL)]
    events = book.apply(bid(9, None, 3, time_in_force=FOK, budget_uruv=130))
    assert fills(events) == [(1, 40, 2), (2, 50, 1)]


def test_market_offer_takes_any_bid():
    book = make_book(bid(1, 1, 2))
    events = book.apply(offer(9, None, 3, time_in_force=IOC, budget_uruv=1_000))
    assert events[1:] == [Cancelled(9, SELLER, 1, Reason.IMMEDIATE)]
    assert fills(events) == [(1, 1, 2)]


def test_remainder_is_cancelled_and_never_left_crossed_when_too_many_orders_are_touched():
    book = make_book(*(offer(id_, 40, 1) for id_ in range(1, 6)), fills_max=3)
    events = book.apply(bid(9, 40, 4))
    assert len(fills(events)) == 3
    assert events[-1] == Cancelled(9, BUYER, 1, Reason.MAX_FILLS)
    assert resting(book) == [(4, 1), (5, 1)]


def test_single_level_is_swept_to_its_end():
    book = make_book(*(offer(id_, 40, 1) for id_ in range(1, 5_001)), fills_max=5_000)
    assert fills(book.apply(bid(9_000, 40, 5_001))) == [(id_, 40, 1) for id_ in range(1, 5_001)]
    assert resting(book) == [(9_000, 1)]


# --- nobody trades with themselves ---------------------------------------------------------------


def test_own_resting_order_is_cancelled_and_matching_goes_on():
    book = make_book(offer(1, 40, 2, BUYER), offer(2, 50, 2))
    events = book.apply(bid(9, 50, 1))
    assert events[0] == Cancelled(1, BUYER, 2, Reason.SELF_TRADE)
    assert fills(events) == [(2, 50, 1)]


def test_owners_of_one_group_do_not_trade_and_one_owner_does_not_by_leaving_the_group():
    book = make_book(offer(1, 40, 2, group=77), offer(2, 41, 2, BUYER), offer(3, 50, 2))
    events = book.apply(bid(9, 50, 1, group=77))
    assert [event.id for event in events if isinstance(event, Cancelled)] == [1, 2]
    assert fills(events) == [(3, 50, 1)]


def test_self_trades_happen_where_a_stream_was_recorded_with_them():
    book = make_book(offer(1, 40, 2, BUYER, group=5), allows_self_trades=True)
    assert fills(book.apply(bid(9, 40, 1, group=5, time_in_force=FOK))) == [(1, 40, 1)]


# --- cancel, reduce, replace ---------------------------------------------------------------------


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_cancel_leaves_the_queue_as_it_was_whichever_order_goes(gone: int):
    book = make_book(*(offer(id_, 40, 1) for id_ in (1, 2, 3)))
    assert book.apply(Cancel(gone, SELLER)) == [Cancelled(gone, SELLER, 1, Reason.OWNER)]
    left = [id_ for id_ in (1, 2, 3) if id_ != gone]
    assert fills(book.apply(bid(9, 40, 9))) == [(id_, 40, 1) for id_ in left]


def test_next_price_is_best_after_the_best_is_cancelled():
    book = make_book(offer(1, 40, 1), offer(2, 50, 1))
    book.apply(Cancel(1, SELLER))
    assert fills(book.apply(bid(9, 60, 1))) == [(2, 50, 1)]


@pytest.mark.parametrize(
    "message", [Cancel(1, OTHER), Reduce(1, OTHER, 1), Replace(1, OTHER, 40, 1)]
)
def test_foreign_and_unknown_orders_are_left_alone(message: Cancel | Reduce | Replace):
    book = make_book(offer(1, 40, 5))
    before = book.snapshot()
    assert book.apply(message) == [Rejected(1, OTHER, Code.FOREIGN_ORDER)]
    unknown = msgspec.structs.replace(message, id=8)
    assert book.apply(unknown) == [Rejected(8, OTHER, Code.UNKNOWN_ORDER)]
    assert book.snapshot() == before


def test_filled_order_is_unknown_and_its_id_is_free():
    book = make_book(offer(1, 40, 1), bid(2, 40, 1))
    assert book.apply(Cancel(1, SELLER)) == [Rejected(1, SELLER, Code.UNKNOWN_ORDER)]
    assert book.apply(offer(1, 40, 1)) == [Rested(1, SELLER, 1, 3)]
    assert book.apply(offer(1, 30, 1)) == [Rejected(1, SELLER, Code.DUPLICATE_ID)]


def test_cancel_all_takes_only_the_owners_orders_oldest_first():
    book = make_book(offer(1, 40, 1), offer(2, 30, 1), offer(3, 35, 1, OTHER))
    book.apply(Replace(1, SELLER, 20, 1))
    assert [
        event.id for event in book.apply(CancelAll(SELLER)) if isinstance(event, Cancelled)
    ] == [
        2,
        1,
    ]
    assert book.apply(CancelAll(SELLER)) == []
    assert resting(book) == [(3, 1)]


def test_reduce_keeps_the_place_and_replace_loses_it():
    book = make_book(offer(1, 40, 5), offer(2, 40, 5))
    assert book.apply(Reduce(1, SELLER, 2)) == [Cancelled(1, SELLER, 3, Reason.REDUCED)]
    assert book.apply(Replace(1, SELLER, 40, 1)) == [Cancelled(1, SELLER, 1, Reason.REDUCED)]
    assert fills(book.apply(bid(8, 40, 2))) == [(1, 40, 1), (2, 40, 1)]
    assert book.apply(offer(3, 40, 1)) == [Rested(3, SELLER, 1, 4)]
    assert book.apply(Replace(2, SELLER, 40, 9)) == [
        Cancelled(2, SELLER, 4, Reason.REPLACED),
        Rested(2, SELLER, 9, 5),
    ]
    assert fills(book.apply(bid(9, 40, 2))) == [(3, 40, 1), (2, 40, 1)]


def test_replace_may_be_told_to_lose_its_place_always():
    book = make_book(offer(1, 40, 5), offer(2, 40, 5))
    book.apply(Replace(1, SELLER, 40, 1, always_requeue=True))
    assert resting(book) == [(2, 5), (1, 1)]


@pytest.mark.parametrize("lots", [-1, 5, 6])
def test_reduce_is_refused_when_it_does_not_reduce(lots: int):
    book = make_book(offer(1, 40, 5))
    assert book.apply(Reduce(1, SELLER, lots)) == [Rejected(1, SELLER, Code.BAD_LOTS)]


def test_reduce_to_nothing_takes_the_order_out():
    book = make_book(offer(1, 40, 5))
    assert book.apply(Reduce(1, SELLER, 0)) == [Cancelled(1, SELLER, 5, Reason.REDUCED)]
    assert len(book) == 0


def test_replace_into_a_cross_trades_at_once():
    book = make_book(offer(1, 60, 5), bid(2, 40, 3))
    events = book.apply(Replace(1, SELLER, 40, 5))
    assert fills(events) == [(2, 40, 3)]
    assert resting(book) == [(1, 2)]


def test_replace_is_refused_when_its_price_is_off_the_grid():
    book = make_book(offer(1, 40, 5))
    assert book.apply(Replace(1, SELLER, 1_001, 5)) == [Rejected(1, SELLER, Code.OFF_TICK)]
    assert resting(book) == [(1, 5)]


def test_book_is_bounded():
    book = make_book(offer(1, 40, 1), offer(2, 40, 1), resting_max=2)
    assert book.apply(offer(3, 40, 1)) == [Rejected(3, SELLER, Code.BOOK_FULL)]
    assert fills(book.apply(bid(4, 40, 1, time_in_force=IOC))) == [(1, 40, 1)]


# --- time and epochs -----------------------------------------------------------------------------


def test_order_is_gone_from_the_time_at_which_it_expires():
    book = make_book(offer(1, 40, 1, time_in_force=GTD, expires_ms=10), offer(2, 50, 1))
    assert book.find_expiry() == 10
    assert book.advance(9) == []
    assert book.advance(10) == [Cancelled(1, SELLER, 1, Reason.EXPIRED)]
    assert fills(book.apply(bid(9, 60, 1))) == [(2, 50, 1)]
    assert book.find_expiry() is None


def test_no_order_outlives_a_day_and_time_never_goes_back():
    book = make_book()
    book.advance(1_000)
    assert book.advance(5) == []
    book.apply(offer(1, 40, 1))
    assert book.find_expiry() == 1_000 + ORDER_LIFE_MAX_MS


def test_rate_offer_shows_its_lots_anew_in_every_epoch_and_saves_none():
    book = make_book(offer(1, 40, 5, epochs=3), offer(2, 40, 1))
    book.apply(bid(8, 40, 2))
    assert book.begin_epoch() == [
        Cancelled(1, SELLER, 3, Reason.EPOCH),
        Rested(1, SELLER, 5, 4),
    ]
    assert resting(book) == [(2, 1), (1, 5)]
    assert book.begin_epoch()[-1] == Rested(1, SELLER, 5, 5)
    assert book.begin_epoch() == [Cancelled(1, SELLER, 5, Reason.EPOCH)]
    assert resting(book) == [(2, 1)]


def test_rate_offer_that_is_sold_out_waits_for_its_next_epoch():
    book = make_book(offer(1, 40, 2, epochs=2), bid(5, 40, 2), bid(6, 40, 3))
    assert len(book) == 2
    assert resting(book) == [(6, 3)]
    assert book.apply(offer(1, 99, 1)) == [Rejected(1, SELLER, Code.DUPLICATE_ID)]
    events = book.begin_epoch()
    assert events[0] == Cancelled(1, SELLER, 0, Reason.EPOCH)
    assert fills(events) == [(6, 40, 2)]
    assert resting(book) == [(6, 1)]
    assert len(book) == 1


def test_rate_offer_that_is_sold_out_can_be_cancelled_expire_and_change_tiers():
    book = make_book(offer(1, 40, 2, epochs=9), bid(5, 40, 2))
    assert book.retier(1, TIERS.pack((2, 1))) == []
    assert book.list_rated()[0].tiers == TIERS.pack((2, 1))
    assert book.apply(Cancel(1, SELLER)) == [Cancelled(1, SELLER, 0, Reason.OWNER)]
    assert book.begin_epoch() == []
    terms: dict[str, Any] = {"epochs": 9, "time_in_force": GTD, "expires_ms": 50}
    book = make_book(offer(1, 40, 2, **terms), bid(5, 40, 2))
    assert book.advance(50) == [Cancelled(1, SELLER, 0, Reason.EXPIRED)]
    assert len(book) == 0


def test_rate_offer_that_is_sold_out_is_stored_and_shown_again():
    book = make_book(offer(1, 40, 2, epochs=2), bid(5, 40, 2))
    twin = Book.restore(INSTRUMENT, book.snapshot())
    assert resting(twin) == []
    assert twin.begin_epoch() == book.begin_epoch()
    assert resting(twin) == [(1, 2)]


def test_rate_offer_is_cancelled_for_good_when_its_owner_bids_into_it():
    book = make_book(offer(1, 40, 2, epochs=9))
    assert book.apply(bid(9, 40, 1, SELLER))[0] == Cancelled(1, SELLER, 2, Reason.SELF_TRADE)
    assert book.begin_epoch() == []


@pytest.mark.parametrize("message", [Reduce(1, SELLER, 1), Replace(1, SELLER, 30, 1)])
def test_rate_offer_is_not_changed_but_cancelled_and_placed_anew(message: Reduce | Replace):
    book = make_book(offer(1, 40, 5, epochs=3))
    assert book.apply(message) == [Rejected(1, SELLER, Code.BAD_TERMS)]


def test_only_rate_offers_are_renewed():
    book = make_book(offer(1, 40, 5))
    assert book.renew(1) == book.renew(2) == []


def test_offer_moves_to_other_tiers_with_its_seq_and_trades_with_what_it_now_fits():
    low, high = TIERS.pack((0, 0)), TIERS.pack((1, 0))
    book = make_book(
        offer(1, 40, 5, tiers=low),
        offer(2, 40, 5, tiers=high),
        bid(3, 45, 2, tiers=TIERS.pack((2, 0))),
    )
    assert book.retier(1, high) == [Rested(1, SELLER, 5, 1)]
    assert fills(book.apply(bid(8, 40, 1, tiers=high))) == [(1, 40, 1)]
    assert fills(book.retier(1, TIERS.pack((2, 0)))) == [(3, 45, 2)]
    assert book.retier(1, 1 << 40) == book.retier(99, low) == []


# --- looking, storing ----------------------------------------------------------------------------


def test_orders_are_found_by_id_by_owner_and_by_side():
    book = make_book(offer(1, 40, 5), bid(2, 30, 1), offer(3, 35, 5))
    found = book.get(2)
    assert found is not None
    assert (found.side, found.price_uruv, found.lots) == (Side.BID, 30, 1)
    assert book.get(9) is None
    assert [each.id for each in book.list_owned(SELLER)] == [1, 3]
    assert book.list_owned(99) == []
    assert [each.id for each in book.list_resting(Side.OFFER)] == [3, 1]


def test_snapshot_is_a_value_that_survives_its_bytes():
    book = make_book(offer(1, 40, 5, epochs=2), bid(2, 30, 1), bid(3, 40, 2))
    stored = book.snapshot()
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=type(stored))
    assert again == stored
    book.apply(bid(4, 40, 3))
    assert stored == again
    twin = Book.restore(INSTRUMENT, again)
    assert twin.apply(bid(4, 40, 3)) == [Filled(2, 4, 1, BUYER, SELLER, Side.BID, 40, 3)]
    assert twin.snapshot() == book.snapshot()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ([{}, {"seq": 2}], "not stored in its place"),
        ([{"seq": 2}, {"id": 2, "seq": 1}], "not stored in its place"),
        ([{"seq": 0}], "not stored in its place"),
        ([{"tiers": 1 << 30}], "tiers that do not exist"),
        ([{"seq": 10}], "beyond 9"),
    ],
)
def test_snapshot_is_refused_when_no_book_is_like_that(changes: list[dict[str, Any]], match: str):
    stored = make_book(offer(1, 40, 5)).snapshot()
    orders = tuple(msgspec.structs.replace(stored.orders[0], **each) for each in changes)
    with pytest.raises(InvalidBook, match=match):
        Book.restore(INSTRUMENT, msgspec.structs.replace(stored, seq=9, orders=orders))


def test_every_message_there_is_has_a_route():
    assert set(_ROUTES) == set(get_args(Message))
