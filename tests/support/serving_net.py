"""Nodes that do nothing but serve and ask, over the real streams of the memory transport."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

from dag.bodies import BlobRef
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex, Vertex, encode_vertex, seal
from meshnode.core.blob_manifest import digest_content, make_blob_ref
from meshnode.core.commands import Serve
from meshnode.engines.base import EngineError, EngineFault, ModelInfo
from meshnode.engines.chunks import delta_chunk, usage_of
from meshnode.errors import CommandRejected, InvalidMessage
from meshnode.serving import protocol
from meshnode.serving.client import Asker
from meshnode.serving.desk import Desk
from meshnode.serving.port import ServingPeer
from meshnode.serving.question import Question
from meshnode.serving.server import AnswerServer
from meshnode.shell.placement_table import Placement
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from meshnode.transport.base import Channel, FrameStream

NETWORK = bytes(32)
REQUEST = {"messages": [{"role": "user", "content": "hi"}]}
LOAD = protocol.Load(1, 1, 1, 0, 0, 0, 0, draining=False)
BUSY = EngineError(EngineFault.OVERLOADED, "busy", retry_after_ms=700)


class ScriptedEngine:
    """Answers with the items of its script: texts, chunk objects, errors, or waits at a gate."""

    def __init__(
        self,
        script: Sequence[Any] = ("Hello", " world"),
        *,
        slots: int = 1,
        shareable: bool = True,
        model: str = "scripted",
        name: str = "scripted",
        context_tokens: int = 100,
    ) -> None:
        self.name = name
        self.shareable = shareable
        self.slots = slots
        self.script = list(script)
        self.gate = asyncio.Event()
        self.entered = asyncio.Event()
        self.stopped = asyncio.Event()
        self.requests: list[Any] = []
        self._model = model
        self._context_tokens = context_tokens

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def models(self) -> list[ModelInfo]:
        return [
            ModelInfo(
                id=self._model, revision="r1", context_tokens=self._context_tokens, label="Scripted"
            )
        ]

    async def chat(self, request) -> AsyncIterator[dict[str, Any]]:
        self.requests.append(request)
        self.entered.set()
        try:
            yield delta_chunk("c", self._model, {"role": "assistant", "content": ""})
            for item in self.script:
                if isinstance(item, str):
                    yield delta_chunk("c", self._model, {"content": item})
                elif item is self.gate:
                    await self.gate.wait()
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield item
            last = delta_chunk("c", self._model, {}, finish_reason="stop")
            yield {**last, "usage": usage_of(2, 3)}
        finally:
            self.stopped.set()


def gated(*before: Any, **options: Any) -> ScriptedEngine:
    """An engine that waits at its gate after `before`, then says 'done'."""
    engine = ScriptedEngine(**options)
    engine.script = [*before, engine.gate, "done"]
    return engine


def failing(error: EngineError, *before: Any, **options: Any) -> ScriptedEngine:
    """An engine that fails after `before`."""
    return ScriptedEngine([*before, error], **options)


@dataclass
class FakeNode:
    """A node as serving sees it: a memory transport, a shared store, no core."""

    net: ServingNet
    name: str
    transport: MemoryTransport
    share: Any = "full"
    sealing: Any = None
    adverts: list[Serve] = field(default_factory=list)
    offences: list[tuple[str, InvalidMessage]] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    published: list[SignedVertex] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    followers: list[Callable[[], None]] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    blobs_full: bool = False
    withheld: bool = False
    refuses_to_publish: bool = False
    clock_offset_ms: int = 0
    desk: Any = None
    advertised_ms: int = 0
    heard_ms: int = 0
    """When its connections were last heard, as everybody sees it."""

    def __post_init__(self) -> None:
        self.author = hashlib.sha256(self.name.encode()).digest()
        self.server = AnswerServer(None, self)
        self.asker: Asker = Asker(self, None)
        self.handle_stream = self.server.serve

    @property
    def network(self) -> bytes:
        return NETWORK

    @property
    def peer(self) -> str:
        return str(self.transport.peer_id)

    async def host(self, engine: Any) -> None:
        self.desk = Desk(engine, self)
        await self.desk.start()
        self.server = AnswerServer(self.desk, self)
        self.asker = Asker(self, self.desk)
        self.handle_stream = self.server.serve

    def find_member(self, peer: str) -> bytes | None:
        other = self.net.nodes.get(peer)
        return other.author if other is not None and peer in self.ready else None

    def list_serving_peers(self) -> list[ServingPeer]:
        return [self._view(self.net.nodes[peer]) for peer in self.ready]

    def _view(self, other: FakeNode) -> ServingPeer:
        if not other.adverts:
            return ServingPeer(peer=other.peer, author=other.author, name=other.name)
        advert = other.adverts[-1]
        return ServingPeer(
            peer=other.peer,
            author=other.author,
            name=other.name,
            models=advert.models,
            slots=advert.slots,
            running=advert.running,
            queued=advert.queued,
            draining=advert.draining,
            incarnation=advert.incarnation,
            sequence=advert.sequence,
            queued_prefill_tokens=advert.queued_prefill_tokens,
            kv_usage_bp=advert.kv_usage_bp,
            shareable=advert.shareable,
            reported_ms=other.advertised_ms,
            heard_ms=max(other.advertised_ms, other.heard_ms),
            rtt_ms=1,
        )

    async def follow_peers(self, on_change: Callable[[], None]) -> None:
        self.followers.append(on_change)
        on_change()
        try:
            await asyncio.Event().wait()
        finally:
            self.followers.remove(on_change)

    def tell_followers(self) -> None:
        for follower in self.followers:
            follower()

    async def connect(self, author: bytes, *, timeout_ms: int) -> ServingPeer | None:
        peers = self.list_serving_peers()
        return next((peer for peer in peers if peer.author == author), None)

    async def open_stream(self, peer: str) -> FrameStream:
        return await self.transport.open_stream(PeerId(peer))

    async def publish(self, kind: int, body: bytes, knowledge: tuple[bytes, ...]) -> SignedVertex:
        if self.refuses_to_publish:
            raise CommandRejected("the queue of own vertices is full")
        signed = make_vertex(self.author, kind, body)
        self.published.append(signed)
        if not self.withheld:
            self.net.store[signed.id] = signed
        return signed

    async def keep_blob(self, content: bytes, *, media_type: str) -> BlobRef | None:
        if self.blobs_full:
            return None
        self.blobs.append(content)
        return make_blob_ref(digest_content(content))

    async def find_vertex(self, vertex_id: bytes, *, timeout_ms: int) -> SignedVertex | None:
        return self.net.store.get(vertex_id)

    async def advertise(self, serve: Serve) -> None:
        self.adverts.append(serve)
        self.advertised_ms = self.read_clock_ms()
        for other in self.net.nodes.values():
            if self.peer in other.ready:
                other.tell_followers()

    def note_placement(self, placement: Placement) -> None:
        self.placements.append(placement)

    def report_offence(self, peer: str, error: InvalidMessage) -> None:
        self.offences.append((peer, error))

    def read_clock_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self.clock_offset_ms

    # The transport's handler.

    def connected(self, peer: PeerId, *, inbound: bool, remote_address: str) -> None:
        self.ready.append(str(peer))
        self.tell_followers()

    def disconnected(self, peer: PeerId, *, reason: str) -> None:
        self.ready.remove(str(peer))
        self.tell_followers()

    async def deliver(self, peer: PeerId, channel: Channel, frames: list[bytes]) -> None:
        raise AssertionError("nothing here uses the channels")

    async def serve(self, stream: FrameStream) -> None:
        await self.handle_stream(stream)

    def offended(self, peer: PeerId, *, offence: str, detail: str) -> None:
        raise AssertionError(f"{peer}: {offence}: {detail}")


class ServingNet:
    """Connected nodes by transport id."""

    def __init__(self) -> None:
        self.memory = MemoryNetwork()
        self.nodes: dict[str, FakeNode] = {}
        self.store: dict[bytes, SignedVertex] = {}

    async def add(self, name: str, engine: Any = None) -> FakeNode:
        """Start a node, connected to all others."""
        transport = MemoryTransport(self.memory, PeerId(f"peer-{name}"))
        node = FakeNode(self, name, transport)
        others = list(self.nodes.values())
        self.nodes[node.peer] = node
        await transport.start(node)
        if engine is not None:
            await node.host(engine)
        for other in others:
            await transport.dial(other.transport.peer_id, other.transport.addresses)
        for other in others:
            await until(lambda other=other: node.peer in other.ready and other.peer in node.ready)
        return node

    async def stop(self, node: FakeNode) -> None:
        """Take a node away as a crash would."""
        del self.nodes[node.peer]
        await node.transport.close()
        await node.asker.dispatcher.close()
        if node.desk is not None:
            await node.desk.drain()
            await node.desk.close()


@asynccontextmanager
async def serving_net() -> AsyncIterator[ServingNet]:
    """An empty net, in which no question goes to a node for the sake of knowing more of it."""
    net = ServingNet()
    try:
        with mock.patch("meshnode.routing.selection.happens", return_value=False):
            yield net
    finally:
        for node in list(net.nodes.values()):
            await net.stop(node)


def make_vertex(author: bytes, kind: int = Kind.NOTE, body: bytes = b"") -> SignedVertex:
    """A vertex of the right form; nobody here looks at signatures."""
    vertex = Vertex(1, NETWORK, author, LANE_SPEECH, 0, 1, kind, time.monotonic_ns(), (), body)
    return seal(encode_vertex(vertex), b"signature")


async def until(condition: Any, *, timeout_s: float = 20) -> None:
    """Let other tasks, which set no event, run until a condition holds."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while not condition():
        assert loop.time() < deadline_s, "this does not come about"
        await asyncio.sleep(0.001)


async def ask(node: FakeNode, **options) -> list[Any]:
    question = Question(request=REQUEST, **options)
    async with aclosing(node.asker.stream(question)) as items:
        return [item async for item in items]


async def answer(node: FakeNode, **options):
    return (await ask(node, **options))[-1].answer


async def open_raw(client: FakeNode, target: FakeNode):
    return await client.transport.open_stream(PeerId(target.peer))


def make_ask(body: bytes = b"{}", **fields) -> protocol.Ask:
    return protocol.Ask(
        **{
            "version": 1,
            "request": bytes(16),
            "body_bytes": len(body),
            "share": "full",
            "remaining_ms": 60_000,
            "knowledge": (),
            "private": False,
            **fields,
        }
    )


async def read_raw(stream) -> list:
    frames = []
    while (data := await stream.receive()) is not None:
        frames.append(protocol.decode_answer_frame(data))
    return frames


GOOD_ASK = protocol.encode_frame(make_ask())
