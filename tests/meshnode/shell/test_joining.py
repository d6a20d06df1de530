"""A core that is over is replaced by one that begins from the journal, inside the same process."""

from __future__ import annotations

import asyncio
from unittest.mock import PropertyMock, patch

from dag.types import Kind
from meshnode.core.node import Node
from meshnode.shell.lifecycle import open_runtime
from meshnode.shell.replay import replay
from meshnode.transport.memory import MemoryNetwork
from tests.support.runtimes import make_options, wait_until


async def test_another_core_goes_on_from_the_journal_and_the_recording_ends(tmp_path):
    recording = tmp_path / "recording"
    options = make_options(0, 1, tmp_path, MemoryNetwork(), record_path=recording)
    async with open_runtime(options) as node:
        said = await node.publish(Kind.NOTE, b"before")
        core = node._node
        with patch.object(Node, "is_over", PropertyMock(side_effect=lambda: node._node is core)):
            node._inbox.wake()
            await wait_until(lambda: node._node is not core)
        again = await node.publish(Kind.NOTE, b"after")
        assert again.vertex.parents[0] == said.ref
        assert {said.id, again.id} <= set(await node.read([said.id, again.id]))
        assert node._get_ready_peers() == ()
    assert (await asyncio.to_thread(replay, recording)).ok
