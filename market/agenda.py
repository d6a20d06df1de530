"""What is due when: entries by time, and those of one time in an order of their own.

Entries of one time share a list, so an entry costs one append, and only the times are in a heap.
A list is sorted once its time has come. Entries that no longer hold are left behind and skipped;
they are swept out when there may be as many of them as of those that do hold.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

E = TypeVar("E")

SPARE_ENTRIES: Final = 64


class Agenda(Generic[E]):
    """Entries by the time at which they are due."""

    def __init__(
        self,
        is_alive: Callable[[E, int], bool],
        list_alive: Callable[[], Iterable[tuple[int, E]]],
        order: Callable[[E], Any] | None = None,
    ) -> None:
        """Begin with what is alive.

        `is_alive` says whether an entry still holds for a time, `list_alive` gives all that do, and
        `order` is the key by which entries of one time are sorted, if not the entries themselves.
        """
        self._is_alive: Final = is_alive
        self._list_alive: Final = list_alive
        self._order: Final = order
        self._buckets: dict[int, list[E]] = {}
        self._times: list[int] = []
        """A heap; every time that has a bucket is in it once."""
        self._sorted_ms = -1
        """The time whose bucket is given out, sorted, the first entry last; -1 for none."""
        self._room = 0
        """How many entries more there may be before those that do not hold are swept out."""
        self._sweep()

    def __len__(self) -> int:
        """How many entries there are, those that no longer hold included."""
        return sum(len(bucket) for bucket in self._buckets.values())

    def put(self, due_ms: int, entry: E) -> None:
        """An entry that is alive is due then."""
        bucket = self._buckets.get(due_ms)
        if bucket is None:
            self._buckets[due_ms] = [entry]
            heapq.heappush(self._times, due_ms)
        else:
            bucket.append(entry)
            if due_ms == self._sorted_ms:
                self._sorted_ms = -1
        self._room -= 1
        if self._room < 0:
            self._sweep()

    def find_next(self) -> int | None:
        """The first time at which something is due; None for never."""
        while self._times:
            due_ms = self._times[0]
            bucket = self._buckets[due_ms]
            while bucket:
                if self._is_alive(bucket[-1], due_ms):
                    return due_ms
                bucket.pop()
                self._room += 1
            self._drop_first()
        return None

    def take_due(self, now_ms: int) -> Iterator[tuple[int, E]]:
        """Remove and give all that is due, one entry after the other, each with its time.

        Whoever takes one looks whether it still holds, and lets it hold no longer. It may put
        others meanwhile, and may stop at any of them.
        """
        while self._times and self._times[0] <= now_ms:
            due_ms = self._times[0]
            bucket = self._buckets[due_ms]
            if not bucket:
                self._drop_first()
                continue
            bucket.sort(key=self._order, reverse=True)
            self._sorted_ms = due_ms
            while bucket and self._sorted_ms == due_ms:
                self._room += 1
                yield due_ms, bucket.pop()

    def _drop_first(self) -> None:
        del self._buckets[heapq.heappop(self._times)]
        self._sorted_ms = -1

    def _sweep(self) -> None:
        """Build everything anew from what is alive."""
        self._buckets = {}
        self._sorted_ms, size = -1, 0
        for due_ms, entry in self._list_alive():
            self._buckets.setdefault(due_ms, []).append(entry)
            size += 1
        self._times = list(self._buckets)
        heapq.heapify(self._times)
        self._room = size + SPARE_ENTRIES
