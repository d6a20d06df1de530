"""What validators say of the order: at equal index the same, in order, and to each reader once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from meshnode.client import RemoteNode
from meshnode.errors import MeshError
from meshnode.views import EventsLost, VertexSeen, VerticesOrdered


@dataclass(frozen=True)
class Telling:
    """One commit, as a validator told it."""

    name: str
    at_s: float
    commit: VerticesOrdered


class OrderBook:
    """Collects the events of all validators, over all their lives, and compares them."""

    def __init__(self) -> None:
        self.tellings: list[Telling] = []
        self.failures: list[str] = []
        self.heights: dict[str, int] = {}
        """The last commit each validator has told."""
        self.finals: dict[str, dict[str, float]] = {}
        """When each validator told that a vertex is final."""
        self.heard_s: dict[tuple[str, str], float] = {}
        """When a validator, named first, last told that it took in a vertex of an author."""
        self._commits: dict[int, VerticesOrdered] = {}
        self._news = asyncio.Event()

    @property
    def height(self) -> int:
        """The highest commit anybody has told."""
        return max(self.heights.values(), default=0)

    @property
    def commits(self) -> dict[int, VerticesOrdered]:
        """Every commit by its index, as it was told first."""
        return self._commits

    async def follow(self, name: str, remote: RemoteNode) -> None:
        """Write down everything a validator tells in one life, until it ends."""
        last: int | None = None
        try:
            async for event in remote.events():
                if isinstance(event, VerticesOrdered):
                    self._take(name, event, last)
                    last = event.commit_index
                elif isinstance(event, VertexSeen):
                    self.heard_s[name, event.vertex.author] = time.monotonic()
                    self._news.set()
                elif isinstance(event, EventsLost):
                    self.failures.append(f"{name}: the reader fell behind")
        except MeshError:
            return  # killed, stopped, or cut off: its next life is followed anew

    def _take(self, name: str, commit: VerticesOrdered, last: int | None) -> None:
        index, before = commit.commit_index, self.heights.get(name, 0)
        if index <= before:
            self.failures.append(f"{name} told commit {index} again, after {before}")
        elif last is not None and index != last + 1:
            self.failures.append(f"{name} told commit {index} after {last}")
        known = self._commits.setdefault(index, commit)
        if known.commit_digest != commit.commit_digest or known.vertices != commit.vertices:
            self.failures.append(f"FORK: {name} told another commit {index} than was told before")
        self.heights[name] = max(before, index)
        at_s = time.monotonic()
        for vertex in commit.vertices:
            self.finals.setdefault(vertex, {}).setdefault(name, at_s)
        self.tellings.append(Telling(name, at_s, commit))
        self._news.set()

    async def wait_for(self, condition: Callable[[], bool], *, timeout_s: float) -> float:
        """Until a condition over this book holds; answers how long it took, in seconds.

        Raises `TimeoutError`.
        """
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._news.clear()
                await self._news.wait()
        return time.monotonic() - began_s
