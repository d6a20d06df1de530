"""When to turn to which rendezvous point: to say where one is, and to ask where others are.

A visit does both. While this node is connected to somebody it visits each point now and then, so
that its own record never expires there; while it is alone it tries the points one after the other,
soon at first and then ever less often. A point that says that it is none is asked again only after
a long time. Pure: time comes in, and randomness from the node's own entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.core.entropy import Entropy

POINTS_MAX: Final = 16
REFRESH_MS: Final = 1_200_000
"""A third of a record's life: two visits may fail."""
FIRST_MS: Final = 1_000
MOST_MS: Final = 60_000
DECLINED_MS: Final = 3_600_000
"""A peer that is no rendezvous point may become one."""
MOVED_MS: Final = 5_000
"""Own addresses that change come in a row; they are told once."""


@dataclass(slots=True, eq=False)
class Point:
    """A member that may be a rendezvous point."""

    peer: str
    addresses: tuple[str, ...]
    named: bool
    """By the operator: never dropped for another."""
    due_ms: int
    back_off_ms: int = 0
    visiting: bool = False
    answers: bool = False
    """Whether its last visit went as it should."""
    result: str = ""
    """Of the last visit; empty before the first."""


class Visits:
    """The rendezvous points a node knows, and when each is due."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._points: dict[str, Point] = {}

    @property
    def points(self) -> tuple[Point, ...]:
        """All of them, in the order in which they became known."""
        return tuple(self._points.values())

    def add(self, now_ms: int, peer: str, addresses: Sequence[str], *, named: bool = False) -> bool:
        """Learn of a point; False where there are enough."""
        point = self._points.get(peer)
        if point is not None:
            point.addresses = tuple(dict.fromkeys((*addresses, *point.addresses)))[:POINTS_MAX]
            point.named = point.named or named
            return True
        if len(self._points) >= POINTS_MAX:
            return False
        self._points[peer] = Point(peer, tuple(addresses), named, now_ms)
        return True

    def take_due(self, now_ms: int) -> list[Point]:
        """The points to visit now; each is told of with `ended` afterwards."""
        due = [
            point
            for point in self._points.values()
            if not point.visiting and point.due_ms <= now_ms
        ]
        for point in due:
            point.visiting = True
        return due

    def succeeded(self, now_ms: int, point: Point, result: str) -> None:
        """A visit went as it should."""
        point.visiting = False
        point.answers = True
        point.result = result
        point.back_off_ms = 0
        point.due_ms = now_ms + self._entropy.jitter(REFRESH_MS)

    def declined(self, now_ms: int, point: Point) -> None:
        """The peer is no rendezvous point."""
        point.visiting = point.answers = False
        point.result = "is no rendezvous point"
        point.back_off_ms = 0
        point.due_ms = now_ms + self._entropy.jitter(DECLINED_MS)

    def failed(self, now_ms: int, point: Point, reason: str) -> None:
        """A visit came to nothing: the next try is twice as far off."""
        point.visiting = point.answers = False
        point.result = reason
        point.back_off_ms = min(2 * point.back_off_ms or FIRST_MS, MOST_MS)
        point.due_ms = now_ms + self._entropy.jitter(point.back_off_ms)

    def hurry(self, now_ms: int) -> None:
        """This node is alone: turn to everybody who answered before, now.

        Points that failed keep their back-off, which is what bounds the dials.
        """
        for point in self._points.values():
            if point.answers:
                point.due_ms = min(point.due_ms, now_ms)

    def moved(self, now_ms: int) -> None:
        """Own addresses are others: tell the points that know the old ones."""
        for point in self._points.values():
            point.due_ms = min(point.due_ms, now_ms + MOVED_MS)

    def next_deadline(self) -> int | None:
        """When the next visit is due."""
        return min(
            (point.due_ms for point in self._points.values() if not point.visiting), default=None
        )
