"""The one bounded queue through which everything enters the core, in the order it happened.

An entry gets its time when it is taken out, so times never go back, however long it waited. What
peers and the application want waits for room; what the core itself asked for (receipts, ends of
connections) does not, because the core bounds it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from meshnode.core.inputs import Input

Stamp = Callable[[int], Input]
"""Makes an input of the time it is taken out."""


class Inbox:
    """A bounded queue of inputs without their times. Belongs to one event loop."""

    def __init__(self, inputs_max: int) -> None:
        self._entries: deque[Stamp] = deque()
        self._inputs_max = inputs_max
        self._room = asyncio.Event()
        self._room.set()
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    async def put(self, entries: Iterable[Stamp]) -> None:
        """Add entries together once there is room. After `close` they are dropped."""
        while not self._closed and len(self._entries) >= self._inputs_max:
            self._room.clear()
            await self._room.wait()
        self.put_now(entries)

    def put_now(self, entries: Iterable[Stamp]) -> None:
        """Add what the core is waiting for. After `close` it is dropped."""
        if not self._closed:
            self._entries.extend(entries)
            self._news.set()

    def take(self) -> Stamp | None:
        """The oldest entry, or None."""
        return self._entries.popleft() if self._entries else None

    def release(self) -> None:
        """Let those who wait for room look again; called once per batch."""
        if len(self._entries) < self._inputs_max:
            self._room.set()

    def wake(self) -> None:
        """End a `wait` although nothing came in: a deadline is due, or the node stops."""
        self._news.set()

    async def wait(self) -> None:
        """Until something came in, or `wake`."""
        if not self._entries:
            await self._news.wait()
        self._news.clear()

    def close(self) -> None:
        """Drop everything, now and later; nobody waits any longer."""
        self._closed = True
        self._entries.clear()
        self._room.set()
        self._news.set()
