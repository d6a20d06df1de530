"""Members that join a running mesh with a ticket, over all their lives."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from meshnode.client import RemoteNode
from meshnode.demo.processes import Crew, DemoNode
from meshnode.errors import MeshError
from meshnode.views import ConsensusInfo, NodeStatus
from tests.support.daemons import FLAGS, find_daemons, kill
from tests.support.order_book import OrderBook

POLL_S = 0.05
STOP_S = 30.0
LIMIT_S = 120.0


class Guest:
    """A home that is empty before the first start, and the process that runs it."""

    def __init__(self, crew: Crew, book: OrderBook, name: str) -> None:
        self.name = name
        self.home = crew.folder / name
        self._crew = crew
        self._book = book
        self._node: DemoNode | None = None
        self._follower: asyncio.Task[None] | None = None

    @property
    def is_member(self) -> bool:
        """Whether it has been let in."""
        return (self.home / "current").exists()

    @property
    def remote(self) -> RemoteNode:
        """Its HTTP interface; its process must be there."""
        assert self._node is not None, f"{self.name} does not run"
        return self._node.remote

    async def status(self) -> NodeStatus:
        """What its process says of itself."""
        return await self.remote.status()

    async def order(self) -> ConsensusInfo:
        """How far it is in the order."""
        order = (await self.status()).consensus
        assert order is not None, "every node of this version follows the order"
        return order

    async def start(self, ticket: str, **flags: Any) -> None:
        """Begin a life; the first shows the ticket. Returns when it says that it is ready."""
        assert self._node is None, f"{self.name} runs already"
        self._node = await self._crew.start(
            self.name,
            {**FLAGS, "engine": "echo", **flags},
            ticket=None if self.is_member else ticket,
        )
        self._follower = asyncio.create_task(self._book.follow(self.name, self._node.remote))

    async def kill_at_join(
        self, ticket: str, *, with_snapshot: bool, after_s: float, **flags: Any
    ) -> None:
        """Begin a life, and end it some time after it has a journal, or a snapshot in it."""
        starting = asyncio.create_task(self.start(ticket, **flags))
        async with asyncio.timeout(LIMIT_S):
            while not self._is_due(with_snapshot=with_snapshot):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(POLL_S / 10)
        await asyncio.sleep(after_s)
        while not starting.done():
            for pid in find_daemons(self.home):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.wait([starting], timeout=POLL_S)
        with suppress(MeshError):
            await starting  # it was ready already
            await self.kill()

    def _is_due(self, *, with_snapshot: bool) -> bool:
        for path in self.home.glob("networks/*/journal.db"):
            return not with_snapshot or has_snapshot(path)
        return False

    async def kill(self) -> None:
        """End a life as a power cut does."""
        assert self._node is not None, f"{self.name} does not run"
        await asyncio.to_thread(kill, self._node)
        await self._bury(self._node)

    async def terminate(self) -> None:
        """End a life as an operator does."""
        assert self._node is not None, f"{self.name} does not run"
        process = self._node.spawned.process
        process.terminate()
        await asyncio.to_thread(process.wait, STOP_S)
        await self._bury(self._node)

    async def _bury(self, node: DemoNode) -> None:
        await node.remote.close()
        await self.close()
        self._node = None

    async def close(self) -> None:
        """End the reader of its events; the crew ends the process."""
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower
            self._follower = None

    async def wait_order(self, index: int, *, timeout_s: float = LIMIT_S) -> float:
        """Until it knows a commit, or a later one; answers how long it took, in seconds.

        Raises `TimeoutError`.
        """
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while (await self.order()).commit_index < index:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(POLL_S)
        return time.monotonic() - began_s


def has_snapshot(journal: Path) -> bool:
    """Whether a journal holds a snapshot, while its node may be writing."""
    query = "SELECT count(*) FROM snapshots"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=0)) as connection:
        try:
            return bool(connection.execute(query).fetchone()[0])
        except sqlite3.OperationalError:
            return False  # it is being made


async def wait_equal(remotes: Sequence[RemoteNode], *, timeout_s: float = LIMIT_S) -> float:
    """Until all hold the same and stand at one commit; answers how long it took, in seconds.

    Raises `TimeoutError`.
    """
    began_s = time.monotonic()
    async with asyncio.timeout(timeout_s):
        while len({await _describe(remote) for remote in remotes}) > 1:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
    return time.monotonic() - began_s


async def _describe(remote: RemoteNode) -> tuple[str, str]:
    status = await remote.status()
    return status.heads_digest, "" if status.consensus is None else status.consensus.commit_digest
