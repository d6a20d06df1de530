"""Members heard of lately: whom to turn to when a neighbour is lost.

Names come from neighbours, who may lie. So each must belong to a member, no neighbour fills more
than a quarter of the room, and what makes place for a newcomer is drawn at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshnode.core.entropy import Entropy

SOURCE_SHARE: Final = 4


class PassiveView:
    """A bounded sample of peers, each with the neighbour that named it."""

    def __init__(self, entropy: Entropy, count_max: int) -> None:
        self._entropy = entropy
        self._count_max = count_max
        self._sources: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, peer: str) -> bool:
        return peer in self._sources

    def add(self, peer: str, source: str = "") -> None:
        """Remember a peer that a neighbour has named, or that was a neighbour itself."""
        if peer in self._sources:
            return
        if source and self._count(source) >= max(1, self._count_max // SOURCE_SHARE):
            return
        if len(self._sources) >= self._count_max:
            names = list(self._sources)
            del self._sources[names[self._entropy.below(len(names))]]
        self._sources[peer] = source

    def _count(self, source: str) -> int:
        return sum(other == source for other in self._sources.values())

    def discard(self, peer: str) -> None:
        """Forget a peer that is a neighbour now, or does not answer."""
        self._sources.pop(peer, None)

    def sample(self, count: int) -> list[str]:
        """So many of the peers, drawn at random, each at most once."""
        return self._entropy.sample(list(self._sources), count)
