"""Many real nodes of one mesh, each on a host of its own, for campaigns that measure.

    network = HostNetwork(24)
    async with open_fleet(network, 24, engine="none") as fleet:
        load = fleet.start_load(per_s=20, authors=8)
        ...
        await load.stop()
        await fleet.wait_equal(timeout_s=60)

Runs inside the namespaces of `tests.support.netns`.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meshnode.demo.processes import Crew, DemoNode, open_crew
from meshnode.errors import MeshError
from tests.support.committee import Place
from tests.support.netns import HostNetwork
from tests.support.process_readings import ProcessReading, read_process
from tests.support.scraping import scrape
from tests.support.stored_order import list_ids, read_stored

STARTS_AT_ONCE = 3
"""More processes that load their libraries at once only wait for each other's processor time."""
POLL_S = 0.5
SHARED_MEMORY = "/dev/shm"
UNDER_WAY_MAX = 8
"""Of one author."""
_MESSAGE_BYTES = re.compile(r'meshnode_message_bytes_sent_total{kind="(\w+)"}')


@dataclass(eq=False)
class Member:
    """One node and what it has promised."""

    number: int
    node: DemoNode
    author: str
    peer: str
    acknowledged: dict[str, None] = field(default_factory=dict)
    """Vertices that `publish` returned."""
    refused: int = 0

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.node.name

    def read(self) -> ProcessReading:
        """What the kernel knows of its process."""
        return read_process(self.node.spawned.pid)

    async def read_messages(self) -> dict[str, float]:
        """Bytes that it has sent to peers, by kind of message, before encryption."""
        samples = (await scrape(self.node.home)).items()
        return {
            match[1]: value
            for name, value in samples
            if (match := _MESSAGE_BYTES.fullmatch(name)) is not None
        }

    async def publish(self, text: str) -> bool:
        """Publish a note; False where that was refused, or nobody was there to ask."""
        try:
            info = await self.node.remote.publish(text)
        except MeshError:
            self.refused += 1
            return False
        self.acknowledged[info.id] = None
        return True


@dataclass(frozen=True)
class Shape:
    """Who is connected with whom, at one moment."""

    degrees: tuple[int, ...]
    """Ready connections of each node."""
    parts: int
    """Groups between which there is no way; 1 for a mesh in one piece."""


class Load:
    """Authors that publish at an even rate, all together so many vertices per second.

    An author does not wait for the last vertex before it says the next, up to a number of them.
    """

    def __init__(self, members: Sequence[Member], *, per_s: float) -> None:
        self.waits_s: list[float] = []
        """From asking a node to publish to its promise, of each vertex."""
        self.missed = 0
        """Vertices that were not said, because too many of the same author were under way."""
        self._began_s = time.monotonic()
        self._under_way: dict[asyncio.Task[None], Member] = {}
        every_s = len(members) / per_s
        self._tasks = [
            asyncio.create_task(self._speak(member, number * every_s / len(members), every_s))
            for number, member in enumerate(members)
        ]

    async def _speak(self, member: Member, after_s: float, every_s: float) -> None:
        number, due_s = 0, time.monotonic() + after_s
        while True:
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            due_s, number = due_s + every_s, number + 1
            if list(self._under_way.values()).count(member) >= UNDER_WAY_MAX:
                self.missed += 1
                continue
            task = asyncio.create_task(self._publish(member, number))
            self._under_way[task] = member
            task.add_done_callback(self._under_way.pop)

    async def _publish(self, member: Member, number: int) -> None:
        began_s = time.monotonic()
        if await member.publish(f"{member.name} says {number} {'.' * 64}"):
            self.waits_s.append(time.monotonic() - began_s)

    async def stop(self) -> float:
        """End it; answers what was published, per second. What is under way is waited for."""
        rate = len(self.waits_s) / (time.monotonic() - self._began_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._under_way, return_exceptions=True)
        return rate


class Fleet:
    """Nodes of one mesh, in the order in which they joined."""

    def __init__(self, crew: Crew, network: HostNetwork) -> None:
        self.members: list[Member] = []
        self._crew = crew
        self._network = network

    async def start(self, count: int, *, engine: str) -> None:
        """Found a mesh, and let the others join it, few at a time."""
        await self._add(0, {"network_name": "campaign", "engine": engine}, None)
        ticket = await self.members[0].node.remote.invite(uses=count)
        turn = asyncio.Semaphore(STARTS_AT_ONCE)

        async def join(number: int) -> None:
            async with turn:
                await self._add(number, {"engine": engine}, ticket)

        await asyncio.gather(*(join(number) for number in range(1, count)))
        self.members.sort(key=lambda member: member.number)

    async def _add(self, number: int, flags: dict[str, object], ticket: str | None) -> None:
        flags = {**make_flags(self._network.places[number]), **flags}
        node = await self._network.run_on(
            number, lambda: self._crew.start(f"node-{number}", flags, ticket=ticket)
        )
        status = await node.remote.status()
        self.members.append(Member(number, node, status.author, status.peer_id))

    def start_load(self, *, per_s: float, authors: int) -> Load:
        """Let some publish, spread evenly over the fleet."""
        step = len(self.members) / authors
        return Load([self.members[int(n * step)] for n in range(authors)], per_s=per_s)

    async def read_shape(self) -> Shape:
        """Ask everybody for its connections."""
        lists = await asyncio.gather(*(each.node.remote.peers() for each in self.members))
        links = {
            each.peer: [peer.peer for peer in peers if peer.ready and peer.peer is not None]
            for each, peers in zip(self.members, lists, strict=True)
        }
        return Shape(tuple(map(len, links.values())), count_parts(links))

    async def wait_joined(self, *, timeout_s: float) -> float:
        """Until everybody knows everybody, and the mesh is in one piece; in seconds.

        Raises `TimeoutError`.
        """
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while not await self._is_joined():  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(POLL_S)
        return time.monotonic() - began_s

    async def _is_joined(self) -> bool:
        statuses = await asyncio.gather(*(each.node.remote.status() for each in self.members))
        if any(status.members < len(self.members) for status in statuses):
            return False
        shape = await self.read_shape()
        return shape.parts == 1 and min(shape.degrees) > 0

    async def wait_equal(self, *, timeout_s: float) -> float:
        """Until all hold the same; answers how long it took, in seconds. Raises `TimeoutError`."""
        began_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while await self.count_stores() > 1:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(POLL_S)
        return time.monotonic() - began_s

    async def count_stores(self) -> int:
        """How many different stores there are."""
        heads = await asyncio.gather(*(each.node.remote.heads() for each in self.members))
        return len({each.digest for each in heads})

    def read(self) -> list[ProcessReading]:
        """What the kernel knows of every process."""
        return [member.read() for member in self.members]

    async def read_counters(self) -> list[dict[str, int]]:
        """What every node counts of itself."""
        statuses = await asyncio.gather(*(each.node.remote.status() for each in self.members))
        return [status.counters for status in statuses]

    async def read_messages(self) -> dict[str, float]:
        """Bytes of messages that all have sent, by kind."""
        total: dict[str, float] = {}
        for found in await asyncio.gather(*(each.read_messages() for each in self.members)):
            for kind, size_bytes in found.items():
                total[kind] = total.get(kind, 0.0) + size_bytes
        return total

    async def find_lost(self) -> list[str]:
        """End all nodes; a line for each whose store lacks what somebody acknowledged."""
        await self._crew.stop()
        promised = {vertex for member in self.members for vertex in member.acknowledged}
        lines = []
        for member in self.members:
            stored = await asyncio.to_thread(read_stored, member.node.home)
            if lost := promised - set(list_ids(stored)):
                lines.append(f"{member.name} lacks {len(lost)} of {len(promised)} acknowledged")
        return lines


def _find_folder() -> str | None:
    """Homes are kept in memory where that is possible: hosts do not share one disk."""
    return SHARED_MEMORY if Path(SHARED_MEMORY).is_dir() else None


def make_flags(place: Place) -> dict[str, object]:
    """What a node of a host is started with."""
    return {
        "api": place.api,
        "api_insecure": True,
        "listen": [f"/ip4/{place.host}/tcp/{place.port}"],
    }


def count_parts(links: dict[str, list[str]]) -> int:
    """How many groups there are between which there is no way; links count in both directions."""
    ways: dict[str, dict[str, None]] = {peer: {} for peer in links}
    for peer, others in links.items():
        for other in others:
            if other in ways:
                ways[peer][other] = ways[other][peer] = None
    parts = 0
    while ways:
        parts += 1
        found = [next(iter(ways))]
        while found:
            found += ways.pop(found.pop(), {})
    return parts


@asynccontextmanager
async def open_fleet(network: HostNetwork, count: int, *, engine: str) -> AsyncIterator[Fleet]:
    """A mesh that is joined, and gone afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="meshnode-campaign-", dir=_find_folder(), ignore_cleanup_errors=True
    ) as folder:
        async with open_crew(Path(folder) / "homes") as crew:
            fleet = Fleet(crew, network)
            await fleet.start(count, engine=engine)
            yield fleet
