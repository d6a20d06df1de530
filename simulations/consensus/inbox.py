"""Blocks that wait for their parents, and the log of those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dag.vertex import SignedVertex

if TYPE_CHECKING:
    import random

WAITING_MAX: Final = 3_000
"""More are dropped, and fetched again; each author has an equal share of it."""


class Log:
    """What a validator has written, of which only the synced part is sure to survive a crash."""

    def __init__(self) -> None:
        self.entries: list[SignedVertex] = []
        self.synced = 0

    def append(self, signed: SignedVertex) -> None:
        """Write a block."""
        self.entries.append(signed)

    def sync(self) -> None:
        """Make everything written durable."""
        self.synced = len(self.entries)

    def crash(self, stream: random.Random) -> None:
        """Lose any part of what was not synced."""
        kept = self.synced + stream.randint(0, len(self.entries) - self.synced)
        del self.entries[kept:]
        self.synced = kept


class Inbox:
    """Holds blocks back until all their parents are known."""

    def __init__(self, authors: int = 1) -> None:
        """`authors`: how many there are, so that a flood by one takes no room of others."""
        self._authors = authors
        self._shares: dict[bytes, int] = {}
        self._turn = 0
        self._missing: dict[bytes, int] = {}
        """How many parents each waiting block lacks."""
        self._children: dict[bytes, list[SignedVertex]] = {}

    def __len__(self) -> int:
        return len(self._missing)

    def __contains__(self, block_id: object) -> bool:
        return block_id in self._missing

    def add(self, signed: SignedVertex, missing: list[bytes]) -> bool:
        """Hold a block back; False if too many of its author's wait."""
        author = signed.vertex.author
        share = self._shares.get(author, 0)
        if share >= WAITING_MAX // self._authors:
            return False
        self._shares[author] = share + 1
        self._missing[signed.id] = len(missing)
        for parent in missing:
            self._children.setdefault(parent, []).append(signed)
        return True

    def release(self, block_id: bytes) -> list[SignedVertex]:
        """A block is known now; answers those that waited for it alone."""
        ready = []
        for child in self._children.pop(block_id, ()):
            self._missing[child.id] -= 1
            if not self._missing[child.id]:
                del self._missing[child.id]
                self._shares[child.vertex.author] -= 1
                ready.append(child)
        return ready

    def list_wanted(self, count_max: int) -> tuple[bytes, ...]:
        """Parents that are missing and not here either, as many for each author's blocks.

        Each call begins further on, so that all have their turn whatever one author floods with.
        """
        limit = max(1, count_max // self._authors)
        asked: dict[bytes, int] = {}
        wanted = []
        keys = [key for key in self._children if key not in self._missing]
        start = self._turn % max(1, len(keys))
        self._turn += limit
        for key in (*keys[start:], *keys[:start]):
            for child in self._children[key]:
                author = child.vertex.author
                if asked.get(author, 0) < limit:
                    asked[author] = asked.get(author, 0) + 1
                    wanted.append(key)
                    break
        return tuple(wanted)
