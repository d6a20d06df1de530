"""What a node tells of the order: events without a gap, and when a vertex became final.

The live feed of a node forgets who reads too slowly, and knows nothing of what was before. The
journal remembers every commit that was told. Together they give each commit once and in order, to
who reads slowly, and to who comes back after a restart and says how far it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dag.types import ID_BYTES
from meshnode.core.events import Committed, Repeated
from meshnode.errors import CommandRejected, NodeClosed
from meshnode.event_views import EventsLost, OrderJoined, VerticesOrdered
from meshnode.node.order_presenting import show_finality, show_stored
from meshnode.node.presenting import show_event
from meshnode.shell.subscriptions import SubscriberLagged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from meshnode.event_views import NodeEvent
    from meshnode.node.lookup import Lookup
    from meshnode.shell.commit_table import StoredCommit
    from meshnode.shell.runtime import Runtime
    from meshnode.shell.subscriptions import Subscription
    from meshnode.views import Finality

FINALITY_WAIT_MAX_MS: Final = 600_000
_COMMITS_AT_ONCE: Final = 256


class OrderReader:
    """Reads the order of a running node."""

    def __init__(self, runtime: Runtime, lookup: Lookup) -> None:
        self._runtime = runtime
        self._lookup = lookup

    async def follow(self, after: int | None) -> AsyncGenerator[NodeEvent, None]:
        """What happens from now on, and before that every commit behind the index `after`.

        Commits come in order, each once, also where a slow reader has missed other events. Where
        some are not held here, `OrderJoined` says so before the next.
        """
        if after is not None and after < 0:
            raise CommandRejected(
                f"there is no commit {after}", hint="0 begins with the first commit"
            )
        position = after
        while True:
            try:
                async with self._runtime.events() as events:
                    if position is not None:
                        async for commit in self._replay(position):
                            for told in _place(commit, position):
                                yield told
                            position = commit.commit_index
                    async for event in events:
                        shown = show_event(event, self._lookup.list_names())
                        if shown is None:
                            continue
                        for told in _place(shown, position):
                            yield told
                        if isinstance(shown, VerticesOrdered | OrderJoined):
                            position = max(position or 0, shown.commit_index)
                return
            except SubscriberLagged:
                yield EventsLost()

    async def _replay(self, after: int) -> AsyncIterator[VerticesOrdered]:
        while commits := await self._runtime.read_commits(after=after, limit=_COMMITS_AT_ONCE):
            for commit in commits:
                yield show_stored(commit)
            after = commits[-1].index

    async def finality(self, vertex_id: str, wait_ms: int) -> Finality:
        """Which commit put a vertex out, if one did within `wait_ms`."""
        if not 0 <= wait_ms <= FINALITY_WAIT_MAX_MS:
            raise CommandRejected(
                f"{wait_ms} ms is no time to wait", hint=f"0 to {FINALITY_WAIT_MAX_MS}"
            )
        vertex = await self._find(vertex_id)
        try:
            async with asyncio.timeout(wait_ms / 1_000):
                while True:
                    try:
                        async with self._runtime.events() as events:
                            while not await self._find_commits(vertex):
                                await _wait_for(self._list_repeats(vertex), events)
                        break
                    except SubscriberLagged:
                        continue
        except TimeoutError:
            pass  # it is looked up once more: that is the answer, whatever it is
        commits = await self._find_commits(vertex)
        last = next(iter(commits), self._list_repeats(vertex)[-1])
        if last == vertex and not commits:
            return show_finality(vertex, None, forgotten=await self._is_forgotten(vertex))
        repeated_by = None if last == vertex else last
        return show_finality(vertex, commits.get(last), repeated_by=repeated_by)

    async def _is_forgotten(self, vertex: bytes) -> bool:
        """Whether a stored vertex is older than the history that is held."""
        pruned = self._runtime.view().consensus.pruned
        held = await self._lookup.read_vertices([vertex]) if pruned.highest else ()
        return any(signed.vertex.lamport <= pruned.get(signed.vertex.lane) for signed in held)

    async def _find_commits(self, vertex: bytes) -> dict[bytes, StoredCommit]:
        return await self._runtime.find_commits(self._list_repeats(vertex))

    def _list_repeats(self, vertex: bytes) -> list[bytes]:
        """A vertex, and those that say it again; one of them gets a place in the order."""
        repeats = self._runtime.view().repeats
        said = [vertex]
        while (again := repeats.get(said[-1])) is not None:
            said.append(again)
        return said

    async def _find(self, vertex_id: str) -> bytes:
        """A whole id may name what has not arrived; the beginning of one only what is stored."""
        if len(vertex_id) == 2 * ID_BYTES:
            try:
                return bytes.fromhex(vertex_id)
            except ValueError:
                pass  # the look-up says what is wrong with it
        return (await self._lookup.find_vertex(vertex_id)).id


def _place(shown: NodeEvent, position: int | None) -> tuple[NodeEvent, ...]:
    """What to tell of an event to who has been told the commits up to a position."""
    if position is None or not isinstance(shown, VerticesOrdered | OrderJoined):
        return (shown,)
    index = shown.commit_index
    if index <= position:
        return ()
    if isinstance(shown, VerticesOrdered) and index > position + 1:
        return OrderJoined(commit_index=index - 1), shown
    return (shown,)


async def _wait_for(said: Sequence[bytes], events: Subscription) -> None:
    """Until one of these is put out, or is said again."""
    async for event in events:
        if isinstance(event, Committed) and any(ref.id in said for ref in event.commit.vertices):
            return
        if isinstance(event, Repeated) and event.first in said:
            return
    raise NodeClosed("the node ended while it was waited for", hint="open it again and ask again")
