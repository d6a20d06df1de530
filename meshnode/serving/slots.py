"""The places of an engine: so many questions run, twice as many wait, the rest are refused.

This queue, not the engine's own, is where questions of all peers meet: it knows each one's
position, what to advertise, and how long a refused peer should wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshnode.engines.base import EngineError, EngineFault

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUED_PER_SLOT = 2
RUN_MS_START = 2_000
"""What a question is taken to last before one has ended."""
RETRY_AFTER_MS_MIN = 500
RETRY_AFTER_MS_MAX = 30_000


class Place:
    """One question's place, from its arrival until `Slots.leave`."""

    def __init__(self) -> None:
        self.granted = asyncio.Event()


class Slots:
    """First come, first served; who pays goes before who does not."""

    def __init__(self, slots: int, *, changed: Callable[[], None]) -> None:
        self._slots = max(1, slots)
        self._changed = changed
        self._running: dict[int, Place] = {}
        self._paid: dict[int, Place] = {}
        self._queue: dict[int, Place] = {}
        self._run_ms = RUN_MS_START

    @property
    def running(self) -> int:
        """Questions that run now."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """Questions that wait for a slot."""
        return len(self._paid) + len(self._queue)

    def check_room(self) -> None:
        """Raises `EngineError` when a further question would be refused."""
        if self.running >= self._slots and self.queued >= QUEUED_PER_SLOT * self._slots:
            raise EngineError(
                EngineFault.OVERLOADED,
                f"{self.running} questions run and {self.queued} wait here",
                retry_after_ms=self._estimate_wait_ms(),
                hint="ask again later or ask another peer",
            )

    def enter(self, *, paid: bool = False) -> Place:
        """Take a place; it is granted at once where a slot is free. Raises `EngineError`."""
        self.check_room()
        place = Place()
        if self.running < self._slots:
            self._grant(place)
        else:
            (self._paid if paid else self._queue)[id(place)] = place
        self._changed()
        return place

    def leave(self, place: Place) -> None:
        """Give a place back, running or waiting; the longest waiting question gets the slot."""
        for places in (self._paid, self._queue, self._running):
            places.pop(id(place), None)
        while self.queued and self.running < self._slots:
            waiting = self._paid or self._queue
            self._grant(waiting.pop(next(iter(waiting))))
        self._changed()

    def find_position(self, place: Place) -> int:
        """How many questions run or wait before this one gets a slot; 0 once it runs."""
        for index, waiting in enumerate((*self._paid.values(), *self._queue.values())):
            if waiting is place:
                return index + 1
        return 0

    def note_run(self, run_ms: int) -> None:
        """Learn from a question that ran to its end how long questions last."""
        self._run_ms += (run_ms - self._run_ms) // 8

    def _grant(self, place: Place) -> None:
        self._running[id(place)] = place
        place.granted.set()

    def _estimate_wait_ms(self) -> int:
        wait_ms = self._run_ms * (self.queued + 1) // self._slots
        return min(max(wait_ms, RETRY_AFTER_MS_MIN), RETRY_AFTER_MS_MAX)
