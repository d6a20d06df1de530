"""A meshnode peer for benchmarks: the whole node over libp2p, its journal on disk included."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks._harness import Load, Report, Sample, cpu_s, serve
from dag.crypto import get_signature_bytes, sign_suite, verify_suite
from dag.genesis import Suite
from dag.types import Kind
from meshnode.core.commands import Connect
from meshnode.core.events import VertexAdmitted
from meshnode.shell.lifecycle import RuntimeOptions, open_runtime
from meshnode.shell.runtime import Runtime
from tests.support.dag_builder import Person, make_genesis, make_person

CALIBRATIONS = 100
EVENTS_MAX = 1_000_000
CONNECT_MS = 30_000
OVERHEAD_BYTES = 258
"""Of a signed vertex with four parents, beside body and signature."""


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """One meshnode peer."""

    number: int
    peers: int
    vertex_bytes: int
    """On the wire, signatures included."""
    folder: str
    suite: Suite
    verify: bool
    """Check signatures of what others publish."""


class MeshPeer:
    """See `benchmarks._harness.Peer`."""

    def __init__(self, config: MeshConfig, runtime: Runtime, person: Person) -> None:
        self._config = config
        self._runtime = runtime
        self._person = person
        self._body = bytes(config.vertex_bytes - OVERHEAD_BYTES - get_signature_bytes(config.suite))
        self._held: dict[bytes, float] = {}
        self._sizes: dict[bytes, int] = {}
        self._reported = 0
        self._news = asyncio.Event()

    @property
    def address(self) -> Connect:
        """The command that connects another peer to this one."""
        transport = self._runtime.transport
        return Connect(transport.peer_id, transport.addresses)

    async def connect(self, addresses: Sequence[Connect]) -> None:
        """Connect to everybody, as founders do from their book of addresses."""
        for address in addresses:
            await self._runtime.submit(address)
        for number in range(self._config.peers):
            if number != self._config.number:
                author = make_person(number, self._config.suite).author
                await self._runtime.wait_for_peer(author, timeout_ms=CONNECT_MS)

    async def collect(self) -> None:
        """Note when each vertex was admitted and durable, own ones included."""
        async with self._runtime.events(EVENTS_MAX) as events:
            async for event in events:
                if isinstance(event, VertexAdmitted) and event.signed.vertex.kind == Kind.NOTE:
                    self._held[event.signed.id] = time.monotonic()
                    self._note_news()

    def _note_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def run(self, load: Load) -> Report:
        """Publish, then wait for everything."""
        published: dict[bytes, float] = {}
        self._sizes = {}
        try:
            async with asyncio.timeout(load.timeout_s):
                await asyncio.sleep(load.begin_s + load.offset_s - time.monotonic())
                if load.interval_s:
                    await self._publish_paced(load, published)
                else:
                    await self._publish_many(load, published)
                while len(self._held) < load.expected:
                    await self._news.wait()
        except TimeoutError:
            pass
        held = dict(list(self._held.items())[self._reported :])
        self._reported = len(self._held)
        return Report(published, self._sizes, held)

    async def _publish_paced(self, load: Load, published: dict[bytes, float]) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(load.count):
                due_s = load.begin_s + load.offset_s + number * load.interval_s
                await asyncio.sleep(due_s - time.monotonic())
                group.create_task(self._publish(published))

    async def _publish_many(self, load: Load, published: dict[bytes, float]) -> None:
        left = iter(range(load.count))

        async def publish() -> None:
            for _ in left:
                await self._publish(published)

        async with asyncio.TaskGroup() as group:
            for _ in range(load.window):
                group.create_task(publish())

    async def _publish(self, published: dict[bytes, float]) -> bytes:
        begin_s = time.monotonic()
        signed = await self._runtime.publish(Kind.NOTE, self._body, timeout_ms=600_000)
        published[signed.id] = begin_s
        self._sizes[signed.id] = len(signed.wire)
        return signed.id

    def sample(self) -> Sample:
        """Counters of this process."""
        counters = dict(self._runtime.transport.counters)
        own = self._runtime.telemetry.snapshot()["counters"]
        assert isinstance(own, dict)
        return Sample(cpu_s(), counters["bytes_sent"], counters | own)

    async def calibrate(self) -> float:
        """One signature of the suite, and a verification by every other peer."""
        suite, person, message = self._config.suite, self._person, secrets.token_bytes(64)
        begin = time.thread_time()
        signatures = [sign_suite(suite, person.secrets, message) for _ in range(CALIBRATIONS)]
        sign_s = time.thread_time() - begin
        begin = time.thread_time()
        for signature in signatures:
            assert verify_suite(suite, person.keys, message, signature)
        verify_s = time.thread_time() - begin
        return (sign_s + (self._config.peers - 1) * verify_s) / CALIBRATIONS


@asynccontextmanager
async def open_peer_runtime(
    config: MeshConfig, *, validates: bool = False
) -> AsyncIterator[tuple[Runtime, Person]]:
    """The node of a founder among the committee, whose members are everybody."""
    from meshnode.transport.libp2p.transport import Libp2pTransport

    people = [make_person(number, config.suite) for number in range(config.peers)]
    person = people[config.number]
    options = RuntimeOptions(
        genesis=make_genesis(people, suite=config.suite),
        secrets=person.secrets,
        directory=Path(config.folder),
        transport=Libp2pTransport(person.secrets.libp2p_seed),
        name=person.name,
        validates=validates,
        _trust_unverified=not config.verify,
    )
    async with open_runtime(options) as runtime:
        yield runtime, person


async def _main(pipe: Connection, config: MeshConfig) -> None:
    async with open_peer_runtime(config) as (runtime, person):
        peer = MeshPeer(config, runtime, person)
        collector = asyncio.create_task(peer.collect())
        await serve(peer, pipe, asyncio.to_thread)
        collector.cancel()


def run_mesh_peer(pipe: Connection, config: MeshConfig) -> None:
    """Entry of a worker process."""
    asyncio.run(_main(pipe, config))
