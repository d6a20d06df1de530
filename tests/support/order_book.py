"""What validators say of the order: at equal index the same, in order, and to each reader once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from meshnode.client import RemoteNode
from meshnode.errors import MeshError
from meshnode.event_views import OffenceCounted, OrderJoined, VertexSeen, VerticesOrdered


class OrderBook:
    """Collects the events of all validators, over all their lives, and compares them."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.heights: dict[str, int] = {}
        """The last commit each validator has told."""
        self.finals: dict[str, dict[str, float]] = {}
        """When each validator told that a vertex is final."""
        self.heard_s: dict[tuple[str, str], float] = {}
        """When a validator, named first, last told that it took in a vertex of an author."""
        self.said: dict[str, tuple[str, str]] = {}
        """Of every vertex that somebody told of: its author, and what it says in one line."""
        self.joined: dict[str, list[int]] = {}
        """The commits of the snapshots that each node told it joined from."""
        self.offences: list[str] = []
        """What nodes charged their peers with, in words."""
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
        """Write down what a validator tells in one life, from behind what is known until its end."""
        try:
            async for event in remote.events(after=self.heights.get(name, 0)):
                if isinstance(event, VerticesOrdered):
                    self._take(name, event)
                elif isinstance(event, OrderJoined):
                    self._join(name, event)
                elif isinstance(event, OffenceCounted):
                    self.offences.append(f"{name} by {event.peer}: {event.offence} {event.detail}")
                elif isinstance(event, VertexSeen):
                    vertex = event.vertex
                    self.heard_s[name, vertex.author] = time.monotonic()
                    self.said[vertex.id] = vertex.author, vertex.summary
                    self._news.set()
        except MeshError:
            return  # killed, stopped, or cut off: its next life is followed anew

    def _join(self, name: str, event: OrderJoined) -> None:
        index, before = event.commit_index, self.heights.get(name, 0)
        if index <= before:
            self.failures.append(f"{name} told that it joined at {index} after commit {before}")
        self.joined.setdefault(name, []).append(index)
        self.heights[name] = max(before, index)
        self._news.set()

    def _take(self, name: str, commit: VerticesOrdered) -> None:
        index, before = commit.commit_index, self.heights.get(name, 0)
        if index != before + 1:
            self.failures.append(f"{name} told commit {index} after {before}")
        known = self._commits.setdefault(index, commit)
        if known.commit_digest != commit.commit_digest or known.vertices != commit.vertices:
            self.failures.append(f"FORK: {name} told another commit {index} than was told before")
        self.heights[name] = max(before, index)
        at_s = time.monotonic()
        for vertex in commit.vertices:
            self.finals.setdefault(vertex, {}).setdefault(name, at_s)
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
