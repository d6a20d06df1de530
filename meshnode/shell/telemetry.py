"""What a node counts of itself: plain numbers by name, bounded, readable at any time."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Final, TypedDict

from meshnode.core.events import VertexAdmitted
from meshnode.shell.event_meter import EventMeter
from meshnode.shell.measures import Tally

if TYPE_CHECKING:
    from meshnode.core.events import Event
    from meshnode.shell.event_meter import Work

OFFENDERS_MAX: Final = 256
"""Peers whose offences are counted one by one; the one quiet for longest is dropped first."""
_LAG_PERIOD_S: Final = 0.5


class Snapshot(TypedDict):
    """Everything counted so far, as plain values."""

    counters: dict[str, int]
    messages: list[tuple[tuple[str, ...], int]]
    """Sent to peers, by kind."""
    message_bytes: list[tuple[tuple[str, ...], int]]
    offences: dict[str, int]
    offences_by_peer: dict[str, dict[str, int]]
    loop_tasks: int
    loop_lag_ms: int
    loop_lag_max_ms: int


class Telemetry:
    """Counters and gauges of one node."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._messages = Tally()
        self._message_bytes = Tally()
        self._offences: Counter[str] = Counter()
        self._offenders: OrderedDict[str, Counter[str]] = OrderedDict()
        self._lag = _LagProbe()
        self._events = EventMeter()

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter; names are constants of the code, never a peer's words."""
        self._counts[name] += amount

    def count_message(self, kind: str, size_bytes: int) -> None:
        """Count a message that was sent to a peer, before encryption."""
        self._messages.add(kind)
        self._message_bytes.add(kind, amount=size_bytes)

    def count_offence(self, peer: str, offence: str) -> None:
        """Count an offence under its name, and under its peer."""
        self._offences[offence] += 1
        offender = self._offenders.setdefault(peer, Counter())
        offender[offence] += 1
        self._offenders.move_to_end(peer)
        if len(self._offenders) > OFFENDERS_MAX:
            self._offenders.popitem(last=False)

    def note_event(self, event: Event, now_ms: int) -> None:
        """Count what a node's event tells."""
        if isinstance(event, VertexAdmitted):
            self.count("vertices_admitted")
        self._events.note(event, now_ms)

    def read_work(self) -> Work:
        """What the events so far amount to."""
        return self._events.read()

    def start(self) -> None:
        """Begin measuring how late the event loop runs its timers."""
        self._lag.start()

    def stop(self) -> None:
        """End measuring."""
        self._lag.stop()

    def snapshot(self) -> Snapshot:
        """Everything counted so far, as plain values."""
        return {
            "counters": dict(sorted(self._counts.items())),
            "messages": self._messages.list_counts(),
            "message_bytes": self._message_bytes.list_counts(),
            "offences": dict(sorted(self._offences.items())),
            "offences_by_peer": {peer: dict(counts) for peer, counts in self._offenders.items()},
            "loop_tasks": _count_tasks(),
            "loop_lag_ms": self._lag.last_ms,
            "loop_lag_max_ms": self._lag.most_ms,
        }


def _count_tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0  # no loop runs here


class _LagProbe:
    """A timer that measures how late it fires."""

    def __init__(self) -> None:
        self.last_ms = 0
        self.most_ms = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LAG_PERIOD_S, self._fire, loop.time() + _LAG_PERIOD_S)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, expected_s: float) -> None:
        late_s = asyncio.get_running_loop().time() - expected_s
        self.last_ms = max(0, round(late_s * 1_000))
        self.most_ms = max(self.most_ms, self.last_ms)
        self.start()
