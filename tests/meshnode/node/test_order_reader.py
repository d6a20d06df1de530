"""Events without a gap, and when a vertex became final."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager

import pytest

from dag.vertex import decode_signed
from meshnode import open_node
from meshnode.core.events import OrderResumed, Repeated
from meshnode.errors import CommandRejected, NodeClosed
from meshnode.event_views import EventsLost, NodeEvent, OrderJoined, VerticesOrdered
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork
from meshnode.views import Finality
from tests.support.horizons import level

LIMIT_MS = 20_000


@asynccontextmanager
async def open_lone():
    async with mesh(1, engine=lambda _: None, suite="ed25519") as (node,):
        yield node


async def collect(node, *, after, until):
    """Commits behind an index, up to the one that holds a vertex."""
    commits = []
    async with asyncio.timeout(LIMIT_MS / 1_000), aclosing(node.events(after=after)) as events:
        async for event in events:
            if isinstance(event, VerticesOrdered):
                commits.append(event)
                if until in event.vertices:
                    break
    return commits


async def test_a_vertex_becomes_final_and_all_agree_on_its_commit():
    async with mesh(4, engine=lambda _: None, suite="ed25519") as nodes:
        note = await nodes[0].publish("news")
        found = [await node.finality(note.id, wait_ms=LIMIT_MS) for node in nodes]
        assert found[0].final
        assert found[0].commit_index
        assert found == [found[0]] * 4
        assert (await nodes[1].vertex(note.id[:12])).finality == found[0]


async def test_a_vertex_that_nobody_orders_is_not_final_yet():
    async with mesh(1, engine=lambda _: None, suite="ed25519", validates=False) as (node,):
        note = await node.publish("waits")
        assert await node.finality(note.id, wait_ms=20) == Finality(vertex=note.id, final=False)
        assert await node.finality(note.id[:16]) == Finality(vertex=note.id, final=False)


async def test_finality_of_what_has_not_arrived_can_be_waited_for():
    async with open_lone() as node:
        assert not (await node.finality("ab" * 32)).final
        with pytest.raises(CommandRejected, match="no vertex id"):
            await node.finality("zz" * 32)
        with pytest.raises(CommandRejected, match="no time to wait"):
            await node.finality("ab" * 32, wait_ms=-1)


async def test_waiting_for_finality_ends_with_the_node():
    async with open_lone() as node:
        waiting = asyncio.create_task(node.finality("ab" * 32, wait_ms=LIMIT_MS))
        while not node._runtime._hub._subscriptions:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        await node.close()
        with pytest.raises(NodeClosed):
            await waiting


async def test_finality_is_found_by_who_reads_too_slowly():
    async with open_lone() as node:
        runtime = node._runtime
        original = runtime.events
        runtime.events = lambda: original(1)
        note = await node.publish("news")
        waiting = asyncio.create_task(node.finality(note.id, wait_ms=LIMIT_MS))
        for number in range(3):
            await node.publish(f"{number}")
        assert (await waiting).final


async def test_commits_behind_an_index_come_first_and_each_once():
    async with open_lone() as node:
        first = await node.publish("first")
        await node.finality(first.id, wait_ms=LIMIT_MS)
        last = await node.publish("last")
        everything = await collect(node, after=0, until=last.id)
        indexes = [commit.commit_index for commit in everything]
        assert indexes == list(range(1, len(indexes) + 1))
        assert all(commit.leader for commit in everything)
        rest = await collect(node, after=indexes[0], until=last.id)
        assert rest == everything[1:]


async def test_commits_are_complete_for_who_reads_too_slowly():
    async with open_lone() as node:
        runtime = node._runtime
        original = runtime.events
        runtime.events = lambda: original(2)
        async with aclosing(node.events(after=0)) as events:
            told: list[NodeEvent] = []
            note = await node.publish("seen live")
            while not told or isinstance(told[-1], VerticesOrdered):
                told.append(await anext(events))
            for number in range(6):
                note = await node.publish(f"{number}")
                await node.finality(note.id, wait_ms=LIMIT_MS)
            async with asyncio.timeout(LIMIT_MS / 1_000):
                while note.id not in getattr(told[-1], "vertices", ()):
                    told.append(await anext(events))
        assert EventsLost() in told
        indexes = [event.commit_index for event in told if isinstance(event, VerticesOrdered)]
        assert indexes == list(range(1, len(indexes) + 1))


async def test_the_order_goes_on_where_it_was_across_a_restart(tmp_path):
    options = {"home": tmp_path / "home", "engine": "none", "transport": MemoryNetwork()}
    async with open_node(suite="ed25519", **options) as node:
        first = await node.publish("before")
        told = await collect(node, after=0, until=first.id)
    async with open_node(**options) as node:
        assert await node.finality(first.id) == Finality(
            vertex=first.id,
            final=True,
            commit_index=told[-1].commit_index,
            commit_digest=told[-1].commit_digest,
            time_ms=told[-1].time_ms,
        )
        second = await node.publish("after")
        rest = await collect(node, after=told[-1].commit_index, until=second.id)
        assert [commit.commit_index for commit in (*told, *rest)] == list(
            range(1, len(told) + len(rest) + 1)
        )
        assert all(first.id not in commit.vertices for commit in rest)


async def test_there_is_nothing_before_the_first_commit():
    async with open_lone() as node:
        with pytest.raises(CommandRejected, match="no commit -1"):
            await anext(node.events(after=-1))


async def test_commits_that_are_not_held_here_are_said_not_to_be():
    async with open_lone() as node:
        runtime = node._runtime
        first = await node.publish("first")
        await node.finality(first.id, wait_ms=LIMIT_MS)
        read_commits, begun_after = runtime.read_commits, 1

        async def read_later(*, after, limit):
            return await read_commits(after=max(after, begun_after), limit=limit)

        runtime.read_commits = read_later
        async with aclosing(node.events(after=0)) as events:
            told = [await anext(events), await anext(events)]
            runtime._hub.publish(OrderResumed(begun_after))  # it was said before, by a commit
            runtime._hub.publish(OrderResumed(1_000))
            while OrderJoined(commit_index=1_000) not in told:
                told.append(await anext(events))
        assert told[0] == OrderJoined(commit_index=1)
        assert told.count(OrderJoined(commit_index=1)) == 1
        assert told[1].commit_index == 2


async def test_finality_of_what_came_too_late_is_that_of_what_says_it_again():
    async with open_lone() as node:
        runtime = node._runtime
        repeats = runtime._node._publishing._repeating._repeats
        lost = bytes(32)
        note = await node.publish("news")
        place = await node.finality(note.id, wait_ms=LIMIT_MS)
        again = runtime._node._intake.index.get(bytes.fromhex(note.id))
        waiting = asyncio.create_task(node.finality(lost.hex(), wait_ms=LIMIT_MS))
        while not runtime._hub._subscriptions:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
        repeats[lost] = again.ref.id
        signed = await runtime.read([again.ref.id])
        runtime._hub.publish(Repeated(lost, decode_signed(signed[again.ref.id])))
        found = await waiting
        assert (found.vertex, found.final, found.repeated_by) == (lost.hex(), True, note.id)
        assert found.commit_index == place.commit_index
        repeats[again.ref.id] = lost_again = bytes([1]) * 32
        assert (await node.finality(lost.hex())).repeated_by == note.id
        repeats[lost] = lost_again
        assert (await node.finality(lost.hex())).repeated_by == lost_again.hex()


async def test_finality_of_what_is_older_than_the_history_held_is_not_known():
    async with mesh(1, engine=lambda _: None, suite="ed25519", validates=False) as (node,):
        note = await node.publish("old")
        node._runtime._node._history._pruned = level(1_000)
        found = await node.finality(note.id)
        assert found == Finality(vertex=note.id, final=False, forgotten=True)
        assert not (await node.finality("ab" * 32)).forgotten
    async with open_lone() as node:
        note = await node.publish("final")
        assert (await node.finality(note.id, wait_ms=LIMIT_MS)).final
        node._runtime._node._history._pruned = level(1_000)
        assert (await node.finality(note.id)).final
