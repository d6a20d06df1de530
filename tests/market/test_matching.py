"""The matcher's indexes: whatever leaves, leaves all of them."""

from __future__ import annotations

from market.instruments import Instrument
from market.matching import NO_FLOOR, Matcher
from market.orders import Event, Reason, RestingOrder, Side
from market.tiers import PLAIN_TIERS

INSTRUMENT = Instrument(model_variant="m", tiers=PLAIN_TIERS)


def order(id_: int, side: Side, price: int, lots: int, **rest: int) -> RestingOrder:
    return RestingOrder(id_, id_ % 7, None, side, price, lots, 0, id_, 1_000, **rest)


def count_indexed(matcher: Matcher) -> list[int]:
    owned = sum(map(len, matcher.owned.values()))
    resting = len(matcher.bids.list_orders()) + len(matcher.offers.list_orders())
    return [len(matcher.orders), owned, resting, len(matcher.rated)]


def test_order_is_in_every_index_until_it_is_filled():
    matcher, events = Matcher(INSTRUMENT), list[Event]()
    matcher.take_up(order(1, Side.OFFER, 10, 5), events)
    assert count_indexed(matcher) == [1, 1, 1, 0]
    matcher.take_up(order(2, Side.BID, 10, 5), events)
    assert count_indexed(matcher) == [0, 0, 0, 0]
    assert matcher.trades == 1


def test_sold_out_rate_offer_stays_known_and_rests_no_more():
    matcher, events = Matcher(INSTRUMENT), list[Event]()
    rated = order(1, Side.OFFER, 10, 5, rate_lots=5, epochs_left=1)
    matcher.take_up(rated, events)
    matcher.take_up(order(2, Side.BID, 10, 5), events)
    assert count_indexed(matcher) == [1, 1, 0, 1]
    assert matcher.withdraw(rated, Reason.OWNER).lots == 0
    assert count_indexed(matcher) == [0, 0, 0, 0]


def test_looking_ahead_changes_nothing_and_tells_the_truth():
    matcher, events = Matcher(INSTRUMENT), list[Event]()
    for id_, price in ((1, 10), (2, 12), (8, 11)):
        matcher.take_up(order(id_, Side.OFFER, price, 5), events)
    taker = order(15, Side.BID, 12, 10)  # owner 1, as orders 1 and 8 have
    assert matcher.would_match(taker, -10)
    assert not matcher.would_match(taker, -9)
    assert not matcher.can_fill(taker, -12, 0)
    taker.lots = 5
    assert matcher.can_fill(taker, NO_FLOOR, 60)
    assert not matcher.can_fill(taker, NO_FLOOR, 59)
    assert count_indexed(matcher) == [3, 3, 3, 0]
    assert taker.lots == 5
