"""Recorded streams, made anew from a seed: the same bytes on every machine.

`core` has limit orders and cancels of orders that are alive, and allows self-trades; `full` has
every kind of message, stale ids among them, with self-trade prevention; `capacity` has offers and
bids for one model with attributes that must fit. Everything follows from SplitMix64, so that
other engines can be run on the very same messages. Messages are tuples:

    ("L", id, side, price, quantity, owner)                     core: a limit order
    ("L", id, side, price, quantity, owner, time in force)      full: likewise
    ("M", id, side, quantity, owner)                            a market order without a limit
    ("C", id)                                                   a cancel
    ("R", id, quantity)                                         leave so much, keep the place
    ("P", id, price, quantity)                                  replace, lose the place
    ("O" | "B", id, block, owner, context, sla, reputation, price, lots, expiry)

Side 0 is a bid, 1 an ask. Times in force 0 to 3 are GTC, IOC, FOK, POST_ONLY.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from market.plain_book import PlainBook

Op: TypeAlias = tuple[Any, ...]

MASK: Final = (1 << 64) - 1
MID_START: Final = 100_000
"""Price around which orders begin."""
CANCEL_BP: Final = 3_000
CORE_OWNERS: Final = 1_000
FULL_OWNERS: Final = 40
FULL_SEED: Final = 0xF0F0
CAPACITY_SEED: Final = 0xCAFE
STALE_REACH: Final = 2_000
"""How far back `full` picks an id, whatever has become of it."""
PROVIDERS: Final = 40
USERS: Final = 400
PER_BLOCK: Final = 20

# Attributes are drawn with the frequencies of these lists.
OFFERED_CONTEXT: Final = (0, 0, 1, 1, 1, 2, 2, 3)
OFFERED_SLA: Final = (0, 0, 1, 1, 2)
ASKED_CONTEXT: Final = (0, 0, 0, 0, 1, 1, 1, 2, 2, 3)
ASKED_SLA: Final = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)
ASKED_REPUTATION_BP: Final = (0, 0, 4_000, 5_000, 6_000, 7_000)


class SplitMix64:
    """The generator of Steele, Lea and Flood, with bounds by multiplication and shift."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    def draw(self, below: int) -> int:
        """The next number from 0 up to a bound, which is not reached."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & MASK
        mixed = self._state
        mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & MASK
        return (mixed ^ mixed >> 31) * below >> 64


class LiveIds:
    """Ids that can be picked at random; the last one takes the place of one that goes."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_: int) -> None:
        """An id to pick from, from now on."""
        self._places[id_] = len(self._ids)
        self._ids.append(id_)

    def pick(self, place: int) -> int:
        """The id at a place."""
        return self._ids[place]

    def discard(self, id_: int) -> None:
        """Not any more."""
        place = self._places.pop(id_)
        last = self._ids.pop()
        if last != id_:
            self._ids[place] = last
            self._places[last] = place


def make_core(count: int, seed: int) -> Iterator[Op]:
    """Limit orders, and cancels of orders that are alive at that moment."""
    chance, book, live = SplitMix64(seed), PlainBook(), LiveIds()
    mid, id_ = MID_START, 0
    for _ in range(count):
        if live and chance.draw(10_000) < CANCEL_BP:
            picked = live.pick(chance.draw(len(live)))
            live.discard(picked)
            book.cancel(picked)
            yield ("C", picked)
            continue
        mid += _step(chance)
        id_ += 1
        side = chance.draw(2)
        price = _draw_price(chance, side, mid)
        quantity, owner = 1 + chance.draw(100), 1 + chance.draw(CORE_OWNERS)
        yield ("L", id_, side, price, quantity, owner)
        before = len(book.trades)
        left = book.limit(id_, side, price, quantity)
        for _, maker, _, _ in book.trades[before:]:
            if maker not in book:
                live.discard(maker)
        if left:
            live.add(id_)


def make_full(count: int, seed: int) -> Iterator[Op]:
    """Every kind of message; ids are picked blindly, so that some are stale."""
    chance, mid, id_ = SplitMix64(seed ^ FULL_SEED), MID_START, 0
    for _ in range(count):
        mid += _step(chance)
        kind = chance.draw(100)
        if id_ > 20 and kind < 24:
            picked = id_ - chance.draw(min(id_, STALE_REACH))
            if kind < 16:
                yield ("C", picked)
            elif kind < 20:
                yield ("R", picked, chance.draw(60))
            else:
                price = mid + chance.draw(41) - 20
                yield ("P", picked, price, 1 + chance.draw(100))
            continue
        id_ += 1
        side, quantity = chance.draw(2), 1 + chance.draw(100)
        owner = 1 + chance.draw(FULL_OWNERS)
        if kind < 29:
            yield ("M", id_, side, quantity, owner)
            continue
        time_in_force = sum(kind >= bound for bound in (80, 88, 94))
        yield ("L", id_, side, _draw_price(chance, side, mid), quantity, owner, time_in_force)


class _Provider(NamedTuple):
    """What one provider gives, and what it costs to give."""

    owner: int
    context: int
    sla: int
    reputation_bp: int
    cost: int


def make_capacity(
    count: int, seed: int, *, supply_bp: int = 12_500, slack: int = 0
) -> Iterator[Op]:
    """Offers and bids for one model.

    `supply_bp` is what is offered on average for 10,000 lots that are wanted; `slack` lifts what
    every bid is ready to pay. Without slack some 7 % of the bids can never be served.
    """
    chance = SplitMix64(seed ^ CAPACITY_SEED)
    providers = [_draw_provider(chance, owner) for owner in range(1, PROVIDERS + 1)]
    for number in range(count):
        head = (number + 1, number // PER_BLOCK)
        if chance.draw(2):
            yield ("O", *head, *_draw_offer(chance, providers, head[1], supply_bp))
        else:
            yield ("B", *head, *_draw_bid(chance, head[1], slack))


def _draw_provider(chance: SplitMix64, owner: int) -> _Provider:
    context, sla = OFFERED_CONTEXT[chance.draw(8)], OFFERED_SLA[chance.draw(5)]
    reputation_bp = 4_000 + chance.draw(6_001)
    cost = 800 + _value(context, sla, reputation_bp) + chance.draw(200)
    return _Provider(owner, context, sla, reputation_bp, cost)


def _draw_offer(
    chance: SplitMix64, providers: list[_Provider], block: int, supply_bp: int
) -> tuple[int, ...]:
    *attributes, cost = providers[chance.draw(len(providers))]
    lots = (1 + chance.draw(80)) * supply_bp // 10_000 + 1
    price = cost + chance.draw(120)
    return (*attributes, price, lots, block + 20 + chance.draw(40))


def _draw_bid(chance: SplitMix64, block: int, slack: int) -> tuple[int, ...]:
    owner = 10_000 + chance.draw(USERS)
    context, sla = ASKED_CONTEXT[chance.draw(10)], ASKED_SLA[chance.draw(10)]
    reputation_bp = ASKED_REPUTATION_BP[chance.draw(6)]
    price = 930 + slack + _value(context, sla, reputation_bp) + chance.draw(400)
    lots = 1 + chance.draw(80)
    return (owner, context, sla, reputation_bp, price, lots, block + 10 + chance.draw(30))


def _value(context: int, sla: int, reputation_bp: int) -> int:
    """What attributes are worth per lot."""
    return 60 * context + 80 * sla + reputation_bp // 50


def _step(chance: SplitMix64) -> int:
    """How the middle moves: up or down by one, each one time in 16."""
    drawn = chance.draw(16)
    return (drawn == 0) - (drawn == 1)


def _draw_price(chance: SplitMix64, side: int, mid: int) -> int:
    """A limit that is the likelier the nearer it is to the middle, or somewhat beyond."""
    first, second = chance.draw(64), chance.draw(64)
    offset = min(first, second) - 6
    return mid + offset if side else mid - offset
