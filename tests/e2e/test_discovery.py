"""Members that nobody can dial find each other through a relay: real processes."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshnode.demo.processes import open_crew
from tests.support.daemons import POLL_S

CLOSED = "/ip4/127.0.0.1/tcp/1"
"""Nobody listens there: what it stands for is a router that lets nothing in."""
FLAGS = {"api": "127.0.0.1:0", "listen": ["/ip4/127.0.0.1/tcp/0"], "engine": "none"}
HIDDEN = {**FLAGS, "advertise": [CLOSED]}
WAIT_S = 60.0


@asynccontextmanager
async def open_own_crew():
    with tempfile.TemporaryDirectory(prefix="meshnode-find-", ignore_cleanup_errors=True) as folder:
        async with open_crew(Path(folder) / "homes") as crew:
            yield crew


async def until_linked(node, other):
    author = (await other.remote.status()).author

    async def is_linked():
        return any(peer.author == author and peer.ready for peer in await node.remote.peers())

    await until(is_linked)


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - the state of another process
            await asyncio.sleep(POLL_S)


async def state_of(node, name):
    return next(way.state for way in (await node.remote.status()).ways if way.name == name)


async def has_place(*nodes):
    return "ok" in [await state_of(node, "relay") for node in nodes]


@pytest.mark.e2e
@pytest.mark.timeout(180)
async def test_two_members_whom_nobody_can_dial_are_connected_through_a_relay():
    async with open_own_crew() as crew:
        relay = await crew.start(
            "relay", {**FLAGS, "serve_relay": True, "serve_rendezvous": True, "network_name": "far"}
        )
        ticket = await relay.remote.invite(uses=2)
        one = await crew.start("one", HIDDEN, ticket=ticket)
        other = await crew.start("other", HIDDEN, ticket=ticket)
        await until_linked(one, other)
        await until_linked(other, one)
        said = await one.remote.publish("through the relay")

        async def is_heard():
            return said.id in {vertex.id for vertex in await other.remote.vertices(limit=20)}

        await until(is_heard)
        assert (await relay.remote.status()).counters["relay_circuits"] >= 1
        # Whose place it is does not matter: one of the two comes to know that it needs one.
        await until(lambda: has_place(one, other))
