"""One heap for everything that ends by itself, keyed (deadline, subject).

A subject is a kind, one byte, and the key of a record. It has at most one deadline. Setting another leaves the old entry in the heap, where it is
skipped; when skipped entries are the majority the heap is built anew.
"""

from __future__ import annotations

import heapq
from typing import Final

from market.tables import Table

DRAINED_MAX: Final = 10_000
"""Time-outs of one commit; those that are left come first in the next."""
SPARE_ENTRIES: Final = 64

CONTRACT: Final = b"c"
EPOCH: Final = b"e"
MOTION: Final = b"m"
UNBONDING: Final = b"u"
WINDOW: Final = b"w"


class Deadlines:
    """When what is due."""

    def __init__(self, rows: Table[int] | None = None) -> None:
        self.rows: Final[Table[int]] = Table() if rows is None else rows
        self._heap: list[tuple[int, bytes]] = []
        self._sweep()

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, subject: bytes) -> int | None:
        """When this is due."""
        return self.rows.get(subject)

    def set(self, subject: bytes, due_ms: int) -> None:
        """This is due then, and at no other time."""
        self.rows.put(subject, due_ms)
        heapq.heappush(self._heap, (due_ms, subject))
        if len(self._heap) > 2 * len(self.rows) + SPARE_ENTRIES:
            self._sweep()

    def clear(self, subject: bytes) -> None:
        """This is no longer due."""
        if subject in self.rows:
            self.rows.drop(subject)

    def find_next(self) -> int | None:
        """The first deadline; None for none."""
        self._skip_stale()
        return self._heap[0][0] if self._heap else None

    def take_due(self, time_ms: int) -> bytes | None:
        """Remove and answer the first subject that is due, by deadline and then by subject."""
        self._skip_stale()
        if not self._heap or self._heap[0][0] > time_ms:
            return None
        _, subject = heapq.heappop(self._heap)
        self.rows.drop(subject)
        return subject

    def _skip_stale(self) -> None:
        while self._heap and self.rows.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)

    def _sweep(self) -> None:
        self._heap = [(due, subject) for subject, due in self.rows.items()]
        heapq.heapify(self._heap)
