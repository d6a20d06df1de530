"""A validator for benchmarks: the whole node over libp2p, which makes blocks and hears of commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from benchmarks._harness import Load, Sample, serve
from benchmarks.peers.mesh import EVENTS_MAX, MeshConfig, MeshPeer, open_peer_runtime
from dag.types import Kind
from meshnode.core.commands import Connect
from meshnode.core.events import Committed, OrderHalted, VertexAdmitted
from meshnode.shell.runtime import Runtime
from tests.support.dag_builder import Person

ACTIVE_S = 30.0


class OrderPeer(MeshPeer):
    """See `benchmarks._harness.Peer`: here a message is held once its order has been delivered."""

    def __init__(self, config: MeshConfig, runtime: Runtime, person: Person) -> None:
        super().__init__(config, runtime, person)
        self.blocks = 0
        self.commits = 0
        self._notes: dict[bytes, None] = {}
        """Admitted; profiles are delivered too, and are not measured."""

    async def connect(self, addresses: Sequence[Connect]) -> None:
        """Connect to everybody; returns once this validator may make blocks."""
        await super().connect(addresses)
        async with asyncio.timeout(ACTIVE_S):
            while self._runtime.view().consensus.standing != "active":  # noqa: ASYNC110  # a view
                await asyncio.sleep(0.05)

    async def collect(self) -> None:
        """Note when each vertex was delivered in its agreed order, own ones included."""
        async with self._runtime.events(EVENTS_MAX) as events:
            async for event in events:
                match event:
                    case Committed(commit, said):
                        now_s = time.monotonic()
                        self.commits += 1
                        for ref in commit.vertices[:said]:
                            if ref.id in self._notes:
                                self._held[ref.id] = now_s
                        self._note_news()
                    case VertexAdmitted(signed):
                        self.blocks += signed.vertex.kind == Kind.BLOCK
                        if signed.vertex.kind == Kind.NOTE:
                            self._notes[signed.id] = None
                    case OrderHalted(reason):
                        raise RuntimeError(reason)

    async def _publish_many(self, load: Load, published: dict[bytes, float]) -> None:
        """As many under way as `window`, each until it is delivered here."""
        left = iter(range(load.count))

        async def publish() -> None:
            for _ in left:
                vertex_id = await self._publish(published)
                while vertex_id not in self._held:
                    await self._news.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(load.window):
                group.create_task(publish())

    def sample(self) -> Sample:
        """Counters of this process."""
        sample = super().sample()
        sample.counters.update(blocks=self.blocks, commits=self.commits)
        return sample


async def _main(pipe: Connection, config: MeshConfig) -> None:
    async with open_peer_runtime(config, validates=True) as (runtime, person):
        peer = OrderPeer(config, runtime, person)
        collector = asyncio.create_task(peer.collect())
        await serve(peer, pipe, asyncio.to_thread)
        collector.cancel()


def run_order_peer(pipe: Connection, config: MeshConfig) -> None:
    """Entry of a worker process."""
    asyncio.run(_main(pipe, config))
