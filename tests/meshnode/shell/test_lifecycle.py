from __future__ import annotations

import asyncio
import threading

from dag.types import Kind
from meshnode.core.events import VertexAdmitted
from meshnode.shell.journal_check import check_journal
from meshnode.shell.lifecycle import open_runtime
from meshnode.transport.memory import MemoryNetwork
from tests.support.runtimes import make_options, open_mesh, wait_equal


async def test_mesh_of_three_agrees_on_what_each_publishes(tmp_path):
    async with open_mesh(3, tmp_path) as nodes:
        signed = [await node.publish(Kind.NOTE, b"from %d" % n) for n, node in enumerate(nodes)]
        await wait_equal(nodes, 6)
        for node in nodes:
            found = await node.read([item.id for item in signed])
            assert found == {item.id: item.wire for item in signed}
    for n in range(3):
        report = await asyncio.to_thread(
            check_journal, tmp_path / f"peer-{n}" / "journal.db", nodes[0].genesis
        )
        assert report.ok
        assert report.vertices == 6


async def test_node_alone_publishes_and_remembers(tmp_path):
    before = set(threading.enumerate())
    tasks = asyncio.all_tasks()
    network = MemoryNetwork()
    async with open_runtime(make_options(0, 1, tmp_path, network)) as node:
        async with node.events() as events:
            signed = await node.publish(Kind.NOTE, b"alone")
            seen = [await anext(events) for _ in range(2)]
        assert any(isinstance(event, VertexAdmitted) for event in seen)
    async with open_runtime(make_options(0, 1, tmp_path, network)) as node:
        assert signed.id in await node.read([signed.id])
        again = await node.publish(Kind.NOTE, b"again")
        assert again.vertex.seq == signed.vertex.seq + 1
    assert set(threading.enumerate()) == before
    assert asyncio.all_tasks() == tasks
