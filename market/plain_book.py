"""A book of limit orders without tiers, accounts or terms: price, then time, and nothing else.

It is what other libraries call an order book, and so what they can be measured against. It makes
the `core` streams and is a second opinion on `Book`, which must agree with it wherever both apply.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

BID: Final = 0
ASK: Final = 1


class PlainBook:
    """Price levels of queues. Sides are 0 for bids and 1 for asks."""

    def __init__(self) -> None:
        self.trades: list[tuple[int, int, int, int]] = []
        """Taker, maker, price, quantity."""
        self._levels: tuple[dict[int, dict[int, int]], ...] = ({}, {})
        """By side and price, what is left of each order, in the order of arrival."""
        self._ranks: tuple[list[int], ...] = ([], [])
        """By side, prices that have a level, best last: those of asks are negated."""
        self._places: dict[int, tuple[int, int]] = {}
        """By id, side and price."""

    def __contains__(self, id_: int) -> bool:
        return id_ in self._places

    def limit(self, id_: int, side: int, price: int, quantity: int) -> int:
        """Trade up to a limit and let the rest wait; answers what waits."""
        other = 1 - side
        ranks, levels, places = self._ranks[other], self._levels[other], self._places
        trades = self.trades
        while ranks:
            best = -ranks[-1] if other else ranks[-1]
            if best < price if side else best > price:
                break
            level = levels[best]
            while level:
                maker = next(iter(level))
                resting = level[maker]
                if resting > quantity:
                    level[maker] = resting - quantity
                    trades.append((id_, maker, best, quantity))
                    return 0
                trades.append((id_, maker, best, resting))
                quantity -= resting
                del level[maker], places[maker]
                if not quantity:
                    break
            if not level:
                del levels[best]
                ranks.pop()
            if not quantity:
                return 0
        levels = self._levels[side]
        level_ = levels.get(price)
        if level_ is None:
            levels[price] = {id_: quantity}
            insort(self._ranks[side], -price if side else price)
        else:
            level_[id_] = quantity
        places[id_] = (side, price)
        return quantity

    def cancel(self, id_: int) -> bool:
        """Take an order out; answers whether it was there."""
        place = self._places.pop(id_, None)
        if place is None:
            return False
        side, price = place
        level = self._levels[side][price]
        del level[id_]
        if not level:
            del self._levels[side][price]
            ranks = self._ranks[side]
            del ranks[bisect_left(ranks, -price if side else price)]
        return True

    def list_resting(self) -> list[tuple[int, int, int, int]]:
        """(id, side, price, quantity) of bids, then of asks, best first."""
        return [
            (id_, side, abs(rank), quantity)
            for side in (BID, ASK)
            for rank in reversed(self._ranks[side])
            for id_, quantity in self._levels[side][abs(rank)].items()
        ]
