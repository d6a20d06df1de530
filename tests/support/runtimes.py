"""Nodes with everything but sockets: real journals, real threads, a network in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from meshnode.core.commands import Connect
from meshnode.shell.lifecycle import RuntimeOptions, open_runtime
from meshnode.shell.runtime import Runtime
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport
from meshnode.transport.peer_id import peer_id_from_public_key
from tests.support.dag_builder import make_genesis, make_person


def make_options(
    number: int, count: int, folder: Path, network: MemoryNetwork, **changes
) -> RuntimeOptions:
    """Options of founder `number` of a network of `count`."""
    people = [make_person(n) for n in range(count)]
    person = people[number]
    peer = PeerId(peer_id_from_public_key(person.keys.libp2p_key))
    options = RuntimeOptions(
        genesis=make_genesis(people),
        secrets=person.secrets,
        directory=folder / person.name,
        transport=MemoryTransport(network, peer),
        name=person.name,
    )
    return replace(options, **changes)


@asynccontextmanager
async def open_mesh(
    count: int, folder: Path, network: MemoryNetwork | None = None, **changes
) -> AsyncIterator[list[Runtime]]:
    """A mesh of founders, all connected and ready."""
    network = network or MemoryNetwork()
    async with AsyncExitStack() as stack:
        nodes: list[Runtime] = []
        for number in range(count):
            options = make_options(number, count, folder, network, **changes)
            nodes.append(await stack.enter_async_context(open_runtime(options)))
        await connect(nodes)
        yield nodes


async def connect(nodes: list[Runtime]) -> None:
    """Connect everybody with everybody, and wait until all are ready."""
    for number, node in enumerate(nodes):
        for other in nodes[:number]:
            await node.submit(Connect(other.transport.peer_id, other.transport.addresses))
    for node in nodes:
        for other in nodes:
            if other is not node:
                await node.wait_for_peer(other.author, timeout_ms=10_000)


async def wait_until(condition, *, timeout_s: float = 20) -> None:
    """Wait until a condition on running nodes holds; bounded."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  # any state of running nodes
            await asyncio.sleep(0.005)


async def wait_equal(nodes: list[Runtime], vertices: int) -> None:
    """Until every node holds so many vertices, on disk too, and all have the same heads."""
    await wait_until(
        lambda: (
            all(node.view().vertices >= vertices for node in nodes)
            and len({node.view().heads_digest for node in nodes}) == 1
        )
    )
    for node in nodes:  # a view shows what the journal may still be writing
        async with asyncio.timeout(20):
            while len(await node.scan(limit=vertices)) < vertices:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.005)
