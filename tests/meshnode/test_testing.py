"""Meshes for tests are connected, deterministic and gone at the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from meshnode.errors import CommandRejected, DeadlineExceeded, NodeClosed
from meshnode.testing import make_fixture, mesh, wait_for_equal_heads
from meshnode.transport.memory import MemoryNetwork
from tests.support.serving_net import ScriptedEngine

two_nodes = make_fixture(2, suite="ed25519")


async def test_mesh_is_connected_and_agrees():
    async with mesh(4, suite="ed25519") as nodes:
        for node in nodes:
            assert [peer.ready for peer in await node.peers()] == [True] * 3
        assert len({(await node.heads()).digest for node in nodes}) == 1
        assert {node.name for node in nodes} == {"node-1", "node-2", "node-3", "node-4"}


async def test_mesh_has_the_same_identities_for_the_same_seed():
    authors = []
    for seed in (1, 1, 2):
        async with mesh(1, seed=seed) as (node,):
            status = await node.status()
            authors.append((status.author, status.network, status.peer_id))
    assert authors[0] == authors[1]
    assert authors[0] != authors[2]


async def test_mesh_runs_over_libp2p():
    async with mesh(2, transport="libp2p", engine=["echo", None]) as nodes:
        answer = await nodes[1].ask("over a real socket")
        assert answer.verified
        assert not answer.local
        assert answer.name == "node-1"
        assert await wait_for_equal_heads(nodes) == (await nodes[0].heads()).digest


async def test_mesh_takes_engines_by_index_and_a_network_of_ones_own():
    hub = MemoryNetwork()
    async with mesh(
        2,
        engine=lambda index: ScriptedEngine() if index else None,
        transport=hub,
        suite="ed25519",
        share="digest",
    ) as nodes:
        assert (await nodes[0].ask("hi")).share == "digest"
        assert (await nodes[0].status()).engine is None


async def test_fixture_hands_out_a_running_mesh(two_nodes):
    assert (await two_nodes[0].ask("hi")).verified


@pytest.mark.parametrize("count", [0, 17])
async def test_mesh_is_refused_when_it_has_no_sensible_size(count):
    with pytest.raises(CommandRejected, match="mesh of"):
        async with mesh(count):
            pass


async def test_mesh_says_so_when_it_does_not_get_ready():
    with pytest.raises(DeadlineExceeded, match="ready mesh"):
        async with mesh(2, suite="ed25519", ready_ms=0):
            pass


async def test_mesh_leaves_nothing_behind():
    threads, tasks = threading.active_count(), len(asyncio.all_tasks())
    async with mesh(2, suite="ed25519") as nodes:
        await nodes[0].publish("news")
    assert len(asyncio.all_tasks()) == tasks
    with pytest.raises(NodeClosed):
        await nodes[0].status()
    # The loop's own pool of threads stays with the loop.
    mine = [thread.name for thread in threading.enumerate() if "asyncio_" not in thread.name]
    assert len(mine) <= threads, mine
