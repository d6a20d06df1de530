"""Serving nodes that seal, and somebody in between who holds every frame in his hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from meshnode.errors import InvalidSignature, MalformedMessage, MeshError
from meshnode.sealed.keys import SealingKeys
from meshnode.sealed.ring import KeyRing, make_ring
from meshnode.serving import protocol
from meshnode.serving.protocol import decode_answer_frame, decode_ask_frame
from meshnode.serving.sealing import Counterpart, Sealing
from tests.support.sealing import make_secrets
from tests.support.serving_net import NETWORK, FakeNode, ServingNet, ask, serving_net

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshnode.transport.base import FrameStream

Meddle = Callable[[bool, int, bytes], list[bytes]]
"""From whether the asking side sent it, its place and its bytes: what arrives in its stead."""


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """A profile vertex; `by` stands for the signature."""

    author: bytes
    seq: int
    keys: SealingKeys
    by: bytes


@dataclass
class Published:
    """What everybody has heard of everybody."""

    profiles: dict[bytes, Profile] = field(default_factory=dict)
    sessions: dict[frozenset[str], bytes] = field(default_factory=dict)

    def publish(self, node: FakeNode, *, seq: int) -> Profile:
        """A profile that names the node's current keys."""
        profile = make_profile(node, seq=seq)
        self.profiles[node.author] = profile
        return profile


def make_profile(node: FakeNode, *, seq: int, by: bytes | None = None) -> Profile:
    keys = node.sealing.ring.current_keys
    return Profile(node.author, seq, keys, by or node.author)


class FakeDirectory:
    """`SealingDirectory` of one node."""

    def __init__(self, node: FakeNode, published: Published) -> None:
        self._node = node
        self._published = published
        self.own: Profile | None = None
        """The newest own profile, where others have not heard of it."""

    def find_counterpart(self, peer: str) -> Counterpart | None:
        author = self._node.find_member(peer)
        if author is None:
            return None
        profile = self._published.profiles.get(author)
        ends = frozenset((self._node.peer, peer))
        return Counterpart(
            author=author,
            keys=None if profile is None else profile.keys,
            seq=-1 if profile is None else profile.seq,
            session=self._published.sessions.get(ends, b"first session"),
        )

    async def read_profile(self) -> bytes:
        own = self.own or self._published.profiles.get(self._node.author)
        return b"" if own is None else msgspec.msgpack.encode(own)

    def check_profile(self, author: bytes, wire: bytes) -> tuple[int, SealingKeys | None]:
        try:
            profile = msgspec.msgpack.decode(wire, type=Profile)
        except msgspec.DecodeError:
            raise MalformedMessage("what came is no profile") from None
        if profile.author != author:
            raise MalformedMessage("what came is no profile of this peer")
        if profile.by != author:
            raise InvalidSignature("the profile is not signed by its author")
        return profile.seq, profile.keys


def seal_streams(node: FakeNode, published: Published) -> FakeDirectory:
    """Give a node keys and publish them."""
    directory = FakeDirectory(node, published)
    node.sealing = Sealing(
        network=NETWORK,
        author=node.author,
        transport=node.peer,
        directory=directory,
        ring=make_node_ring(node),
    )
    published.publish(node, seq=0)
    return directory


def make_node_ring(node: FakeNode) -> KeyRing:
    return make_ring(make_secrets(node.name), 1)


def rotate(node: FakeNode, *, now_ms: int = 100, keep_ms: int = 1_000) -> None:
    """Replace a node's keys, and erase those before where nothing is kept."""
    ring = node.sealing.ring.rotate(make_secrets(f"{node.name} at {now_ms}"), now_ms)
    node.sealing.set_ring(ring.forget(now_ms, keep_ms))


@dataclass
class SealedNet:
    """An asking node, a serving one, and what lies between."""

    net: ServingNet
    published: Published
    client: FakeNode
    server: FakeNode
    directory: FakeDirectory
    """The server's."""
    sent: list[tuple[bool, bytes]] = field(default_factory=list)
    """Every frame that either side handed its transport, and whether the asking one did."""
    meddle: Meddle | None = None
    streams: int = 0

    @property
    def all_sent(self) -> bytes:
        return b"".join(frame for _, frame in self.sent)

    def stand_between(self) -> None:
        """All streams of the client go through this from now on."""
        open_stream = self.client.transport.open_stream

        async def open_watched(peer: Any) -> FrameStream:
            self.streams += 1
            return Watched(await open_stream(peer), self)

        self.client.transport.open_stream = open_watched  # type: ignore[method-assign]


class Watched:
    """A stream with somebody in between."""

    def __init__(self, stream: FrameStream, between: SealedNet) -> None:
        self._stream = stream
        self._between = between
        self._places = {True: 0, False: 0}
        self._arrived: list[bytes] = []

    @property
    def peer(self) -> Any:
        return self._stream.peer

    def _pass(self, *, by_asker: bool, frame: bytes) -> list[bytes]:
        self._between.sent.append((by_asker, frame))
        place = self._places[by_asker]
        self._places[by_asker] += 1
        meddle = self._between.meddle
        return [frame] if meddle is None else meddle(by_asker, place, frame)

    async def send(self, frame: bytes) -> None:
        for each in self._pass(by_asker=True, frame=frame):
            await self._stream.send(each)

    async def receive(self) -> bytes | None:
        while not self._arrived:
            frame = await self._stream.receive()
            if frame is None:
                return None
            self._arrived += self._pass(by_asker=False, frame=frame)
        return self._arrived.pop(0)

    async def finish(self) -> None:
        await self._stream.finish()

    def reset(self) -> None:
        self._stream.reset()


@asynccontextmanager
async def sealed_net(engine: Any) -> AsyncIterator[SealedNet]:
    """A client and a server that both seal."""
    async with serving_net() as net:
        published = Published()
        server = await net.add("server", engine)
        client = await net.add("client")
        directory = seal_streams(server, published)
        seal_streams(client, published)
        scene = SealedNet(net, published, client, server, directory)
        scene.stand_between()
        yield scene


def flip(data: bytes, bit: int) -> bytes:
    """Bytes with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def kinds(scene, *, by_asker):
    decode = decode_ask_frame if by_asker else decode_answer_frame
    return [type(decode(frame)) for asked, frame in scene.sent if asked is by_asker]


def shows_nothing(scene):
    """Whether nothing of question or answer was in any frame, and no frame of them in the open."""
    words = (b"canary", b"messages", b"content", b"scripted")
    open_kinds = {protocol.Ask, protocol.AskPart, protocol.Probe, protocol.Part, protocol.Done}
    return not any(word in scene.all_sent for word in words) and not (
        open_kinds & {*kinds(scene, by_asker=True), *kinds(scene, by_asker=False)}
    )


async def fail(scene, **options):
    """The error that a question ends in."""
    with pytest.raises(MeshError) as caught:
        await asyncio.wait_for(ask(scene.client, timeout_ms=20_000, **options), 30)
    return caught.value
