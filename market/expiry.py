"""When orders of a book expire.

Orders that are gone, or have another place by now, leave their entries behind; these are skipped,
and swept out when they are the majority.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from market.orders import OrderId, RestingOrder

SPARE_ENTRIES: Final = 64


class ExpiryQueue:
    """Orders by (expiry, seq)."""

    def __init__(self, orders: Mapping[OrderId, RestingOrder]) -> None:
        self._orders: Final = orders
        """Those that are alive, by id: kept by the book."""
        self._entries: list[tuple[int, int, RestingOrder]] = []
        self._sweep()

    def push(self, order: RestingOrder) -> None:
        """Note an order that has its expiry and its seq, and is among the living."""
        heappush(self._entries, (order.expires_ms, order.seq, order))
        if len(self._entries) > 2 * len(self._orders) + SPARE_ENTRIES:
            self._sweep()

    def find_next(self) -> int | None:
        """The first expiry; None for none."""
        entries = self._entries
        while entries and not self._is_alive(entries[0]):
            heappop(entries)
        return entries[0][0] if entries else None

    def take_due(self, now_ms: int) -> RestingOrder | None:
        """The first order that expires at or before a time. The book must forget it at once."""
        entries = self._entries
        while entries and entries[0][0] <= now_ms:
            entry = heappop(entries)
            if self._is_alive(entry):
                return entry[2]
        return None

    def _is_alive(self, entry: tuple[int, int, RestingOrder]) -> bool:
        _, seq, order = entry
        return order.seq == seq and self._orders.get(order.id) is order

    def _sweep(self) -> None:
        self._entries = [(each.expires_ms, each.seq, each) for each in self._orders.values()]
        heapify(self._entries)
