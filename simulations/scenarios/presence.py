"""What a mesh with churn held when: who was up, which vertices could be had, who caught up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations.observers import Observer

if TYPE_CHECKING:
    from simulations.host import Host
    from simulations.scenarios.spread import Spread, Story
    from simulations.world import World


class Presence(Observer):
    """When each host came up and went down; hosts that were up before are up since time 0."""

    def __init__(self, world: World) -> None:
        self._changes_ns: dict[int, list[int]] = {host.index: [0] for host in world.hosts}
        """By host, ascending: up, down, up, and so on."""
        self._world = world
        world.add_observer(self)

    def on_started(self, host: Host) -> None:
        """See `Observer`."""
        self._changes_ns[host.index].append(self._world.kernel.now_ns)

    def on_crashed(self, host: Host) -> None:
        """See `Observer`."""
        self._changes_ns[host.index].append(self._world.kernel.now_ns)

    def is_up(self, host: int, time_ns: int) -> bool:
        """Whether a host was up, changes of this very moment included."""
        return bisect_right(self._changes_ns[host], time_ns) % 2 == 1

    def find_up(self, time_ns: int) -> list[int]:
        """Hosts that were up."""
        return [host for host in self._changes_ns if self.is_up(host, time_ns)]

    def find_returns(self) -> list[tuple[int, int, int | None]]:
        """(host, when it came back, when it left again if it did), in order of time."""
        found: list[tuple[int, int, int | None]] = []
        for host, changes_ns in self._changes_ns.items():
            for place in range(2, len(changes_ns), 2):
                left_ns = changes_ns[place + 1] if place + 1 < len(changes_ns) else None
                found.append((host, changes_ns[place], left_ns))
        return sorted(found, key=lambda entry: (entry[1], entry[0]))


@dataclass(frozen=True, slots=True)
class Moment:
    """A mesh at one time; shares of 0 to 1."""

    up: float
    """Hosts that are up."""
    available: float
    """Published vertices that a host which is up holds."""
    coverage: float | None
    """What hosts that are up hold, of what they would if they held everything published; None
    where nobody is up."""


def look(spread: Spread, presence: Presence, hosts: int, time_ns: int) -> Moment | None:
    """The mesh at a time; None while nothing is published."""
    up = presence.find_up(time_ns)
    stories = _find_durable(spread, time_ns)
    if not stories:
        return None
    held = [
        sum(spread.admitted[story.id].get(host, time_ns + 1) <= time_ns for host in up)
        for story in stories
    ]
    return Moment(
        up=len(up) / hosts,
        available=sum(count > 0 for count in held) / len(stories),
        coverage=sum(held) / (len(stories) * len(up)) if up else None,
    )


def find_catch_ups_ns(spread: Spread, presence: Presence) -> tuple[list[int], int]:
    """How long returning hosts took for what others held at their return; and how many never did.

    A host that leaves again before it holds everything, or that the run ends on, never did. Who
    comes back to a mesh that has nothing for it is not counted.
    """
    took_ns: list[int] = []
    unfinished = 0
    for host, back_ns, left_ns in presence.find_returns():
        others = [one for one in presence.find_up(back_ns) if one != host]
        missing = [
            spread.admitted[story.id]
            for story in _find_durable(spread, back_ns)
            if _is_missing(spread.admitted[story.id], host, others, back_ns)
        ]
        if not missing:
            continue
        held_ns = [holders.get(host) for holders in missing]
        done_ns = max((time_ns for time_ns in held_ns if time_ns is not None), default=0)
        if None in held_ns or (left_ns is not None and done_ns > left_ns):
            unfinished += 1
        else:
            took_ns.append(done_ns - back_ns)
    return took_ns, unfinished


def _is_missing(holders: dict[int, int], host: int, others: Sequence[int], time_ns: int) -> bool:
    """Whether a host lacks a vertex that another has."""
    never_ns = time_ns + 1
    return holders.get(host, never_ns) > time_ns and any(
        holders.get(other, never_ns) <= time_ns for other in others
    )


def _find_durable(spread: Spread, time_ns: int) -> list[Story]:
    """Vertices whose authors held them by a time."""
    return [
        story
        for story in spread.stories
        if spread.admitted[story.id].get(story.author, time_ns + 1) <= time_ns
    ]
