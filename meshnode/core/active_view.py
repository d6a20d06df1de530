"""The neighbours of a node in a mesh that is too large for everybody to know everybody.

Two kinds, and the difference is what protects against being surrounded: *outbound* neighbours this
node has chosen itself, *inbound* ones have chosen it. No inbound one ever takes an outbound place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshnode.core.address_group import find_group

if TYPE_CHECKING:
    from meshnode.core.link import Link
    from meshnode.core.settings import Limits


@dataclass(slots=True, eq=False)
class Neighbour:
    """A ready connection that both sides keep."""

    peer: str
    author: bytes
    outbound: bool
    """Chosen by this node."""
    group: str
    since_ms: int
    asked: bool = False
    """A SHUFFLE to it awaits its answer."""
    shuffled_ms: int = -1
    """When its last SHUFFLE was answered."""


class ActiveView:
    """Neighbours by transport id, oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._neighbours: dict[str, Neighbour] = {}
        self._outbound = 0

    def __len__(self) -> int:
        return len(self._neighbours)

    def __contains__(self, peer: str) -> bool:
        return peer in self._neighbours

    @property
    def names(self) -> tuple[str, ...]:
        """Transport ids, oldest first."""
        return tuple(self._neighbours)

    @property
    def all(self) -> tuple[Neighbour, ...]:
        """Every neighbour, oldest first."""
        return tuple(self._neighbours.values())

    def get(self, peer: str) -> Neighbour | None:
        """A neighbour."""
        return self._neighbours.get(peer)

    def add(self, now_ms: int, link: Link, *, outbound: bool) -> None:
        """Keep a ready connection."""
        group = find_group(link.address)
        self._neighbours[link.peer] = Neighbour(link.peer, link.author, outbound, group, now_ms)
        self._outbound += outbound

    def drop(self, peer: str) -> bool:
        """Forget a neighbour; answers whether it was one."""
        neighbour = self._neighbours.pop(peer, None)
        if neighbour is not None:
            self._outbound -= neighbour.outbound
        return neighbour is not None

    def clear(self) -> None:
        """Forget all."""
        self._neighbours.clear()
        self._outbound = 0

    def choose(self, peer: str) -> None:
        """Count a neighbour that had dialled as chosen: it was drawn like those one dials."""
        assert not self._neighbours[peer].outbound, "it was chosen already"
        self._neighbours[peer].outbound = True
        self._outbound += 1

    def pick(self, *, outbound: bool) -> list[Neighbour]:
        """The neighbours of one kind, oldest first."""
        return [item for item in self._neighbours.values() if item.outbound == outbound]

    @property
    def missing(self) -> int:
        """How many this node has still to choose."""
        return max(0, self._limits.outbound_min - self._outbound)

    @property
    def is_open(self) -> bool:
        """Whether one more may choose this node."""
        return len(self) - self._outbound < self._limits.inbound_max

    def allows(self, address: str) -> bool:
        """Whether one more may come from an address's block."""
        group = find_group(address)
        same = sum(item.group == group for item in self._neighbours.values())
        return not group or same < self._limits.group_max

    def find_excess(self, now_ms: int, settled_ms: int) -> list[Neighbour]:
        """Those of which one should go: of the kind that has too many, none that has just come."""
        limits = self._limits
        for outbound, count_max in ((True, limits.outbound_min), (False, limits.inbound_max)):
            found = self.pick(outbound=outbound)
            if len(found) > count_max:
                return [item for item in found if now_ms - item.since_ms >= settled_ms]
        return []

    @property
    def has_excess(self) -> bool:
        """Whether there are too many of a kind."""
        inbound = len(self) - self._outbound
        return self._outbound > self._limits.outbound_min or inbound > self._limits.inbound_max
