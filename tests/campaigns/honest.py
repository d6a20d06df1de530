"""The honest life of a mesh during a campaign: publishing, asking, and whether anybody suffered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from meshnode.demo.processes import DemoNode
from meshnode.errors import MeshError
from meshnode.event_views import OffenceCounted, PeerLeft

PUBLISH_EVERY_S = 0.25
ASK_EVERY_S = 1.0
ASK_TIMEOUT_MS = 60_000


@dataclass
class Life:
    """What honest peers did, and what happened to them."""

    nodes: list[DemoNode]
    published: list[str] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    """Seconds each answer took."""
    failures: list[str] = field(default_factory=list)
    suffered: list[str] = field(default_factory=list)
    """Honest peers that another honest peer lost or accused."""

    async def publish(self, node: DemoNode) -> None:
        """Say something again and again."""
        while True:
            try:
                info = await node.remote.publish(f"{node.name} note {len(self.published)}")
                self.published.append(info.id)
            except MeshError as error:
                self.failures.append(f"publish: {error}")
            await asyncio.sleep(PUBLISH_EVERY_S)

    async def ask(self, node: DemoNode, target: DemoNode) -> None:
        """Ask the node under attack again and again."""
        while True:
            began_s = time.monotonic()
            try:
                answer = await node.remote.ask(
                    f"question {len(self.answered)}", peer=target.name, timeout_ms=ASK_TIMEOUT_MS
                )
                assert answer.text, "an answer has text"
                self.answered.append(time.monotonic() - began_s)
            except MeshError as error:
                self.failures.append(f"ask: {error}")
            await asyncio.sleep(ASK_EVERY_S)

    async def watch(self, node: DemoNode, honest: dict[str, str]) -> None:
        """Note when an honest peer is lost or accused; `honest` names transports."""
        async for event in node.remote.events():
            if isinstance(event, PeerLeft | OffenceCounted) and event.peer in honest:
                self.suffered.append(f"{node.name}: {honest[event.peer]}: {event}")


@asynccontextmanager
async def live(nodes: list[DemoNode]) -> AsyncIterator[Life]:
    """Everybody publishes; the last node asks the first, which is the one under attack."""
    life = Life(nodes)
    statuses = [await node.remote.status() for node in nodes]
    honest = {status.peer_id: status.name for status in statuses}
    tasks = [
        *(asyncio.create_task(life.publish(node)) for node in nodes),
        *(asyncio.create_task(life.watch(node, honest)) for node in nodes),
        asyncio.create_task(life.ask(nodes[-1], nodes[0])),
    ]
    try:
        yield life
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_counts(node: DemoNode) -> Counter[str]:
    """Every offence and counter of a node by name."""
    status = await node.remote.status()
    return Counter({**status.counters, **status.offences})
