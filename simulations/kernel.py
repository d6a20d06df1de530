"""The event kernel: a heap of tuples, integer nanoseconds, and direct calls.

An event is `(time, tie, sequence, target, kind, payload)`. The sequence breaks ties in the order
of scheduling; in the mode `random` a seeded draw does, which finds code that relies on that order.
No event is ever taken out of the heap: what is cancelled is known by its generation (`Timer`).

The trace digest covers time, target and kind of every event, and whatever handlers `note`. Two
runs with one digest did the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    import random

Handler = Callable[[int, Any], None]
"""Takes an event's kind and payload."""


class Schedule(Protocol):
    """Schedules an event."""

    def __call__(self, time_ns: int, target: int, kind: int, payload: object = None) -> None:
        """Let it happen."""


Entry = tuple[int, int, int, int, int, Any]
TieBreak = Literal["fifo", "random"]

CONTROL: Final = -1
"""The target of scheduled calls (`Kernel.at`)."""
NS_PER_MS: Final = 1_000_000
RECENT_MAX: Final = 200
"""Events remembered for a report of a failure."""

_BATCH: Final = 1_024
_TIE_BITS: Final = 32
_pack = Struct("<qii").pack


class Kernel:
    """Virtual time, and what happens in it."""

    def __init__(
        self,
        *,
        tie_break: TieBreak = "fifo",
        tie_stream: random.Random | None = None,
        traced: bool = True,
    ) -> None:
        """Begin at time 0.

        Args:
            tie_break: Who goes first of two events at one time.
            tie_stream: Where `random` draws from.
            traced: Whether to keep the digest; without it a run is about a third faster.
        """
        assert tie_break == "fifo" or tie_stream is not None, "a random tie-break needs a stream"
        self.now_ns = 0
        self.events = 0
        """Events handled so far."""
        self.traced = traced
        self.recent: deque[tuple[int, int, int]] = deque(maxlen=RECENT_MAX)
        self.watchers: list[Callable[[int, int, Any], None]] = []
        """Called after every event with its target, kind and payload."""
        self._heap: list[Entry] = []
        self.schedule = self._make_schedule(tie_stream if tie_break == "random" else None)
        """Let an event happen at a time that has not passed, with or without a payload."""
        self._handlers: dict[int, Handler] = {CONTROL: _call}
        self._hash = blake2b(digest_size=16)
        self._unhashed: list[bytes] = []

    def register(self, target: int, handler: Handler) -> None:
        """Say who handles the events of a target."""
        assert target not in self._handlers, f"target {target} is taken"
        self._handlers[target] = handler

    def at(self, time_ns: int, action: Callable[..., object], *arguments: object) -> None:
        """Call something at a time."""
        self.schedule(time_ns, CONTROL, 0, (action, arguments))

    def after(self, delay_ns: int, action: Callable[..., object], *arguments: object) -> None:
        """Call something after a delay."""
        self.at(self.now_ns + delay_ns, action, *arguments)

    def _make_schedule(self, tie_stream: random.Random | None) -> Schedule:
        """The hottest function of a simulation, over local names: a tenth of a bare event less."""
        heap, number = self._heap, count(1).__next__
        draw = None if tie_stream is None else tie_stream.getrandbits

        def schedule(time_ns: int, target: int, kind: int, payload: object = None) -> None:
            assert time_ns >= self.now_ns, f"time {time_ns} ns has passed"
            tie = draw(_TIE_BITS) if draw else 0
            heappush(heap, (time_ns, tie, number(), target, kind, payload))

        return schedule

    # --- running --------------------------------------------------------------------------------

    @property
    def next_ns(self) -> int | None:
        """When the next event is."""
        return self._heap[0][0] if self._heap else None

    def step(self) -> bool:
        """Handle one event; False if there is none."""
        if not self._heap:
            return False
        self._handle(heappop(self._heap))
        return True

    def run(self, until_ns: int) -> None:
        """Handle every event up to and including a time, and let that time come."""
        heap, handle = self._heap, self._handle
        if self.traced or self.watchers:
            while heap and heap[0][0] <= until_ns:
                handle(heappop(heap))
        else:
            self._run_bare(until_ns)
        self.now_ns = max(self.now_ns, until_ns)

    def _run_bare(self, until_ns: int) -> None:
        heap, handlers = self._heap, self._handlers
        begun = self.events
        handled = 0
        try:
            while heap and heap[0][0] <= until_ns:
                self.now_ns, _, _, target, kind, payload = heappop(heap)
                handled += 1
                handlers[target](kind, payload)
        finally:
            self.events = begun + handled

    def _handle(self, entry: Entry) -> None:
        time_ns, _, _, target, kind, payload = entry
        self.now_ns = time_ns
        self.events += 1
        if self.traced:
            self.recent.append((time_ns, target, kind))
            self._unhashed.append(_pack(time_ns, target, kind))
            if len(self._unhashed) >= _BATCH:
                self._flush()
        self._handlers[target](kind, payload)
        for watch in self.watchers:
            watch(target, kind, payload)

    # --- the trace ------------------------------------------------------------------------------

    def note(self, data: bytes) -> None:
        """Make the digest depend on these bytes too."""
        self._unhashed.append(data)
        if len(self._unhashed) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._hash.update(b"".join(self._unhashed))
        self._unhashed.clear()

    @property
    def digest(self) -> str:
        """The run so far, in 32 hex digits; constant where nothing is traced."""
        self._flush()
        return self._hash.hexdigest()

    def __len__(self) -> int:
        return len(self._heap)

    def pending(self) -> Iterator[tuple[int, int, Any]]:
        """Target, kind and payload of what is still to happen, in no order."""
        return ((entry[3], entry[4], entry[5]) for entry in self._heap)


def _call(_kind: int, payload: tuple[Callable[..., object], tuple[object, ...]]) -> None:
    action, arguments = payload
    action(*arguments)


class Timer:
    """A deadline that can be moved and cancelled.

    Its event carries (key, generation). Moving a deadline later leaves its event where it is, and
    the event, when it comes, is put off: most deadlines move later and never come.
    """

    __slots__ = ("_armed_ns", "_due_ns", "_generation", "_kernel", "_key", "_kind", "_target")

    def __init__(self, kernel: Kernel, target: int, kind: int, key: object = None) -> None:
        self._kernel = kernel
        self._target = target
        self._kind = kind
        self._key = key
        self._generation = 0
        self._due_ns: int | None = None
        self._armed_ns: int | None = None

    @property
    def due_ns(self) -> int | None:
        """When it fires, if it is set."""
        return self._due_ns

    def set(self, due_ns: int) -> None:
        """Fire at a time, and not at any that was set before."""
        due_ns = max(due_ns, self._kernel.now_ns)
        self._due_ns = due_ns
        if self._armed_ns is None or due_ns < self._armed_ns:
            self._arm(due_ns)

    def cancel(self) -> None:
        """Do not fire, and rely on no event that is under way: it may be lost with its host."""
        self._due_ns = self._armed_ns = None
        self._generation += 1

    def fires(self, generation: int) -> bool:
        """Whether the event of this generation is the deadline; True once per deadline."""
        if generation != self._generation:
            return False
        self._armed_ns = None
        if self._due_ns is None:
            return False
        if self._due_ns > self._kernel.now_ns:
            self._arm(self._due_ns)
            return False
        self._due_ns = None
        return True

    def _arm(self, due_ns: int) -> None:
        self._generation += 1
        self._armed_ns = due_ns
        self._kernel.schedule(due_ns, self._target, self._kind, (self._key, self._generation))
