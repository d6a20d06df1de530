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
    """Price levels of queues. Sides are 0 for bids and 1 for asks; prices are positive.

    The rank of an order is its price for bids and the negative of it for asks: so more is better on
    both sides, one dictionary holds the levels of both, and a taker meets ranks from the negative
    of its own upwards.
    """

    def __init__(self) -> None:
        self.trades: list[tuple[int, int, int, int]] = []
        """Taker, maker, price, quantity."""
        self._levels: dict[int, dict[int, int]] = {}
        """By rank, what is left of each order, in the order of arrival."""
        self._ranks: tuple[list[int], list[int]] = ([], [])
        """By side, ranks that have a level, best last."""
        self._places: dict[int, int] = {}
        """By id, the rank."""

    def __contains__(self, id_: int) -> bool:
        return id_ in self._places

    def limit(self, id_: int, side: int, price: int, quantity: int) -> int:
        """Trade up to a limit and let the rest wait; answers what waits."""
        levels, rank = self._levels, -price if side else price
        ranks, trades = self._ranks[1 - side], self.trades
        while ranks and ranks[-1] + rank >= 0:
            best = ranks[-1]
            level, price = levels[best], abs(best)
            while level:
                maker = next(iter(level))
                resting = level[maker]
                if resting > quantity:
                    level[maker] = resting - quantity
                    trades.append((id_, maker, price, quantity))
                    return 0
                trades.append((id_, maker, price, resting))
                quantity -= resting
                del level[maker], self._places[maker]
                if not quantity:
                    break
            if not level:
                del levels[best]
                ranks.pop()
            if not quantity:
                return 0
        if rank in levels:
            levels[rank][id_] = quantity
        else:
            levels[rank] = {id_: quantity}
            insort(self._ranks[side], rank)
        self._places[id_] = rank
        return quantity

    def cancel(self, id_: int) -> bool:
        """Take an order out; answers whether it was there."""
        rank = self._places.pop(id_, None)
        if rank is None:
            return False
        level = self._levels[rank]
        del level[id_]
        if not level:
            del self._levels[rank]
            ranks = self._ranks[rank < 0]
            del ranks[bisect_left(ranks, rank)]
        return True

    def list_resting(self) -> list[tuple[int, int, int, int]]:
        """(id, side, price, quantity) of bids, then of asks, best first."""
        return [
            (id_, side, abs(rank), quantity)
            for side in (BID, ASK)
            for rank in reversed(self._ranks[side])
            for id_, quantity in self._levels[rank].items()
        ]
