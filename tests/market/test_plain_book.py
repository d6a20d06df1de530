"""The plain book by hand; streams compare it with the other one."""

from __future__ import annotations

from market.plain_book import ASK, BID, PlainBook


def test_limit_trades_best_first_then_first_come_and_rests():
    book = PlainBook()
    for id_, price in ((1, 50), (2, 40), (3, 40)):
        assert book.limit(id_, ASK, price, 2) == 2
    assert book.limit(9, BID, 50, 5) == 0
    assert book.trades == [(9, 2, 40, 2), (9, 3, 40, 2), (9, 1, 50, 1)]
    assert book.list_resting() == [(1, ASK, 50, 1)]
    assert 1 in book
    assert 2 not in book


def test_asks_take_the_highest_bids_and_what_is_left_rests():
    book = PlainBook()
    for id_, price in ((1, 50), (2, 60), (3, 55)):
        book.limit(id_, BID, price, 2)
    assert book.limit(9, ASK, 55, 5) == 1
    assert book.trades == [(9, 2, 60, 2), (9, 3, 55, 2)]
    assert book.list_resting() == [(1, BID, 50, 2), (9, ASK, 55, 1)]


def test_taker_that_ends_with_its_maker_leaves_the_queue_behind_it():
    book = PlainBook()
    book.limit(1, ASK, 40, 2)
    book.limit(2, ASK, 40, 2)
    assert book.limit(3, BID, 40, 2) == 0
    assert book.list_resting() == [(2, ASK, 40, 2)]


def test_cancel_takes_an_order_out_once():
    book = PlainBook()
    for id_ in (1, 2, 3):
        book.limit(id_, BID, 40 + id_ // 3, 1)
    assert book.cancel(1)
    assert not book.cancel(1)
    assert book.cancel(3)
    assert book.list_resting() == [(2, BID, 40, 1)]
    book.limit(4, ASK, 90, 1)
    assert book.cancel(4)
    assert book.list_resting() == [(2, BID, 40, 1)]
