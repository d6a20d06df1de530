"""Real nodes agree on one order of what they say, and go on when one of four is gone."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.event_views import VerticesOrdered
from meshnode.testing import mesh

LIMIT_S = 30


class Follower:
    """Writes down what a node says is final."""

    def __init__(self, node) -> None:
        self.node = node
        self.commits: list[VerticesOrdered] = []
        self.grown = asyncio.Event()
        self.task = asyncio.create_task(self.follow())

    async def follow(self) -> None:
        async for event in self.node.events():
            if isinstance(event, VerticesOrdered):
                self.commits.append(event)
                self.grown.set()

    @property
    def ordered(self) -> list[str]:
        return [vertex for commit in self.commits for vertex in commit.vertices]

    async def until_final(self, ids: list[str]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not set(ids) <= set(self.ordered):
                await self.grown.wait()
                self.grown.clear()


async def follow(nodes) -> list[Follower]:
    followers = [Follower(node) for node in nodes]
    await asyncio.sleep(0)  # all have subscribed
    return followers


async def stop(followers) -> None:
    for follower in followers:
        follower.task.cancel()
    await asyncio.gather(*(follower.task for follower in followers), return_exceptions=True)


@pytest.mark.parametrize("suite", ["ed25519", "hybrid"])
async def test_four_nodes_tell_one_order_and_three_go_on(suite):
    async with mesh(4, engine=lambda _: None, suite=suite, validates=True) as nodes:
        followers = await follow(nodes)
        ids = [(await nodes[n % 4].publish(f"note {n}")).id for n in range(12)]
        for follower in followers:
            await follower.until_final(ids)
        orders = [
            [vertex for vertex in follower.ordered if vertex in ids] for follower in followers
        ]
        assert orders[0] == orders[1] == orders[2] == orders[3]
        assert len(orders[0]) == len(ids)
        told = [{c.commit_index: c.commit_digest for c in f.commits} for f in followers]
        common = set(told[0]).intersection(*told[1:])
        assert common
        assert all(len({one[index] for one in told}) == 1 for index in common)
        for follower in followers:
            indexes = [commit.commit_index for commit in follower.commits]
            assert indexes == list(range(indexes[0], indexes[0] + len(indexes)))
        await nodes[3].close()
        late = [(await nodes[n].publish(f"late {n}")).id for n in range(3)]
        for follower in followers[:3]:
            await follower.until_final(late)
        await stop(followers)
        for node in nodes[:3]:
            order = (await node.status()).consensus
            assert order is not None
            assert order.standing == "active"
            assert order.commit_index >= 3
            assert not order.halted


async def test_a_node_alone_agrees_with_itself():
    async with mesh(1, engine=lambda _: None, suite="ed25519", validates=True) as (node,):
        (follower,) = await follow([node])
        note = await node.publish("alone")
        await follower.until_final([note.id])
        await stop([follower])
        order = (await node.status()).consensus
        assert order is not None
        assert [validator.name for validator in order.validators] == ["node-1"]
