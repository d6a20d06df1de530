"""One side of a book: best of all ladders, and entries that go from anywhere."""

from __future__ import annotations

import random

from market.book_side import BookSide
from market.orders import RestingOrder, Side
from market.tiers import Dimension, TierScheme

TIERS = TierScheme((Dimension("a", (0, 1, 2)), Dimension("b", (0, 1))))


def order(seq: int, price: int, tiers: int = 0, side: Side = Side.OFFER) -> RestingOrder:
    return RestingOrder(seq, 1, None, side, price, 1, tiers, seq, 0)


def heads_of(side: BookSide) -> list[tuple[int, int]]:
    return [(rank, time) for rank, time, _, _ in side.heads]


def best_of_ladders(orders: list[RestingOrder], sign: int) -> list[tuple[int, int]]:
    best: dict[int, tuple[int, int]] = {}
    for each in orders:
        key = (sign * each.price_uruv, -each.seq)
        best[each.tiers] = max(best.get(each.tiers, key), key)
    return sorted(best.values())


def test_heads_are_the_best_of_every_ladder_whatever_comes_and_goes():
    chance = random.Random(5)
    for kind, sign in ((Side.OFFER, -1), (Side.BID, 1)):
        side, alive = BookSide(kind, TIERS.guard), list[RestingOrder]()
        for seq in range(1, 400):
            if alive and chance.random() < 0.45:
                gone = alive.pop(chance.randrange(len(alive)))
                side.remove(gone)
            else:
                new = order(seq, chance.randint(1, 6), chance.choice(TIERS.codes()), kind)
                alive.append(new)
                side.add(new)
            assert heads_of(side) == best_of_ladders(alive, sign)
        ranked = sorted(alive, key=lambda each: (-sign * each.price_uruv, each.seq))
        assert side.list_orders() == ranked


def test_order_that_keeps_an_old_seq_goes_back_before_later_ones():
    side = BookSide(Side.OFFER, TIERS.guard)
    first, second, third = (order(seq, 5) for seq in (1, 2, 3))
    for each in (second, third, first):
        side.add(each)
    assert side.list_orders() == [first, second, third]
    assert heads_of(side) == [(-5, -1)]


def test_walk_is_best_first_over_all_ladders_that_fit_and_ends_at_the_floor():
    side = BookSide(Side.OFFER, TIERS.guard)
    poor, good, best = TIERS.pack((0, 0)), TIERS.pack((1, 0)), TIERS.pack((2, 1))
    for each in (order(1, 3, poor), order(2, 5, good), order(3, 4, best), order(4, 5, best)):
        side.add(each)
    side.add(order(5, 7, best))
    term = side.find_term(TIERS.pack((1, 0)))
    assert [each.seq for each in side.walk(term, -7)] == [3, 2, 4, 5]
    assert [each.seq for each in side.walk(term, -5)] == [3, 2, 4]
    assert side.has_match(term, -4)
    assert not side.has_match(term, -3)


def test_offer_that_comes_looks_for_bids_that_ask_for_no_more():
    side = BookSide(Side.BID, TIERS.guard)
    side.add(order(1, 9, TIERS.pack((2, 0)), Side.BID))
    side.add(order(2, 5, TIERS.pack((1, 0)), Side.BID))
    term = side.find_term(TIERS.pack((1, 1)))
    assert [each.seq for each in side.walk(term, 1)] == [2]
    assert not side.has_match(term, 6)


def test_after_a_head_went_the_search_goes_on_where_the_next_best_stands():
    side = BookSide(Side.OFFER, TIERS.guard)
    one, two = TIERS.pack((0, 0)), TIERS.pack((1, 0))
    for each in (order(1, 1, one), order(2, 4, one), order(3, 2, two)):
        side.add(each)
    position = side.pop_head(1)
    assert heads_of(side)[position] == (-2, -3)
    position = side.pop_head(position)
    assert heads_of(side)[position] == (-4, -2)
    assert side.pop_head(position) == -1
    assert heads_of(side) == []
