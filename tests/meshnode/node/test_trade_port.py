"""A running node, as trading sees it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from meshnode.errors import StorageError
from meshnode.node.trade_port import RuntimeTradePort
from meshnode.shell.subscriptions import EventHub
from meshnode.testing import mesh
from tests.support.serving_net import until


class FakeRuntime:
    """Events of a hub with tiny buffers."""

    def __init__(self) -> None:
        self.hub = EventHub()
        self.author = bytes(32)

    def events(self):
        return self.hub.subscribe(1)


def make_port(runtime: FakeRuntime) -> RuntimeTradePort:
    port = RuntimeTradePort.__new__(RuntimeTradePort)
    port._runtime = cast("Any", runtime)
    return port


async def test_port_shows_no_secrets():
    async with mesh(1, engine="none", suite="ed25519") as (node,):
        assert node._room is not None
        port = node._room.port
        assert repr(port) == f"RuntimeTradePort({node.author[:8]})"
        assert (port.suite, port.network.hex()) == ("ed25519", (await node.status()).network)


async def test_follower_that_missed_something_looks_again():
    runtime, looks = FakeRuntime(), []
    following = asyncio.create_task(make_port(runtime).follow(lambda: looks.append("look")))
    await asyncio.sleep(0)
    for _ in range(3):
        runtime.hub.publish(cast("Any", "something"))
    await until(lambda: len(looks) == 2)
    runtime.hub.end(None)
    await asyncio.wait_for(following, 5)


async def test_follower_ends_with_a_node_that_fails():
    runtime = FakeRuntime()
    following = asyncio.create_task(make_port(runtime).follow(lambda: None))
    await asyncio.sleep(0)
    runtime.hub.end(StorageError("the disk is full"))
    await asyncio.wait_for(following, 5)
