"""Members ask, strangers join, and whoever is neither gets nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from meshnode.core.events import PeerReady
from meshnode.errors import DeadlineExceeded, MalformedMessage, StreamReset
from meshnode.node import inviting as inviting_module
from meshnode.node import streams as streams_module
from meshnode.node.streams import StreamRouter
from meshnode.serving import protocol
from meshnode.shell.subscriptions import EventHub
from meshnode.testing import mesh
from meshnode.transport.base import PeerId
from meshnode.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.serving_net import GOOD_ASK, FakeNode, ServingNet, read_raw, until

PEER = PeerId("peer-x")


class FakeStream:
    """A stream whose peer sends these frames and then stays silent."""

    def __init__(self, *frames: bytes | None) -> None:
        self.peer = PEER
        self.frames = list(frames)
        self.sent: list[bytes] = []
        self.finished = False
        self.ended = asyncio.Event()

    async def send(self, frame: bytes) -> None:
        self.sent.append(frame)

    async def receive(self) -> bytes | None:
        if self.frames:
            return self.frames.pop(0)
        await self.ended.wait()
        raise StreamReset("reset")

    async def finish(self) -> None:
        self.finished = True

    def reset(self) -> None:
        self.ended.set()


class FakeServer:
    """Reads one frame, answers it, finishes."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[bytes | None] = []
        self.error = error

    async def serve(self, stream) -> None:
        self.seen.append(await stream.receive())
        if self.error is not None:
            raise self.error
        assert stream.peer == PEER
        await stream.send(b"answer")
        await stream.finish()


class Scene:
    """A router between fake servers; `members` says who is known."""

    def __init__(self, join_error: Exception | None = None) -> None:
        self.hub = EventHub()
        self.members: dict[str, bytes] = {}
        self.offences: list[Exception] = []
        self.joins = FakeServer(join_error)
        self.answers = FakeServer()
        runtime = SimpleNamespace(events=lambda: self.hub.subscribe(16))
        port = SimpleNamespace(
            find_member=self.members.get,
            report_offence=lambda _peer, error: self.offences.append(error),
        )
        self.router = StreamRouter(runtime, port, self.joins)  # type: ignore[arg-type]
        self.router.set_answers(self.answers)  # type: ignore[arg-type]


async def test_member_is_served_answers():
    scene, stream = Scene(), FakeStream(GOOD_ASK)
    scene.members[PEER] = b"author"
    await scene.router.serve(stream)
    assert scene.answers.seen == [GOOD_ASK]
    assert stream.sent == [b"answer"]
    assert stream.ended.is_set()


async def test_stranger_is_served_joins_only():
    scene, stream = Scene(), FakeStream(b"join me")
    await scene.router.serve(stream)
    assert scene.joins.seen == [b"join me"]
    assert scene.answers.seen == []
    assert stream.finished


async def test_stranger_that_asks_is_served_once_its_proof_is_checked():
    scene, stream = Scene(), FakeStream(GOOD_ASK, b"next")
    serving = asyncio.create_task(scene.router.serve(stream))
    await until(lambda: scene.hub._subscriptions)
    scene.hub.publish(PeerReady("somebody", b"other", ""))
    scene.members[PEER] = b"author"
    scene.hub.publish(PeerReady(PEER, b"author", ""))
    await serving
    assert scene.answers.seen == [GOOD_ASK]
    assert stream.frames == [b"next"]


async def test_member_may_become_one_while_its_first_frame_is_read():
    scene, stream = Scene(), FakeStream()

    async def receive() -> bytes:
        scene.members[PEER] = b"author"
        return GOOD_ASK

    stream.receive = receive  # type: ignore[method-assign]
    await scene.router.serve(stream)
    assert scene.answers.seen == [GOOD_ASK]


@pytest.mark.parametrize("frames", [(None,), (GOOD_ASK,), ()])
async def test_stranger_that_stays_one_is_reset(monkeypatch, frames):
    monkeypatch.setattr(streams_module, "HANDSHAKE_MS", 10)
    monkeypatch.setattr(streams_module, "FIRST_FRAME_MS", 10)
    scene, stream = Scene(), FakeStream(*frames)
    await scene.router.serve(stream)
    assert stream.ended.is_set()
    assert stream.sent == []
    assert scene.offences == []


async def test_node_that_ends_resets_who_waits():
    scene, stream = Scene(), FakeStream(GOOD_ASK)
    serving = asyncio.create_task(scene.router.serve(stream))
    await until(lambda: scene.hub._subscriptions)
    scene.hub.end(None)
    await serving
    assert stream.ended.is_set()
    assert scene.answers.seen == []


async def test_stranger_that_sends_garbage_is_counted():
    scene, stream = Scene(MalformedMessage("no join request")), FakeStream(b"garbage")
    await scene.router.serve(stream)
    assert [str(error) for error in scene.offences] == ["no join request"]


async def test_member_of_a_node_that_still_loads_is_reset():
    scene, stream = Scene(), FakeStream(GOOD_ASK)
    scene.members[PEER] = b"author"
    router = StreamRouter(scene.router._runtime, scene.router._port, scene.joins)  # type: ignore[arg-type]
    await router.serve(stream)
    assert stream.ended.is_set()


async def test_hostile_stranger_costs_a_live_node_nothing():
    hub = MemoryNetwork()
    async with mesh(2, transport=hub, suite="ed25519") as nodes:
        stranger = MemoryTransport(hub, PeerId("peer-stranger"))
        net = ServingNet()
        await stranger.start(FakeNode(net, "stranger", stranger))
        target = PeerId(nodes[0].peer_id)
        await stranger.dial(target, nodes[0].addresses)
        for frame in (b"", b"\xff" * 1_000, protocol.encode_frame(protocol.Cancel())):
            stream = await stranger.open_stream(target)
            await stream.send(frame)
            stream.reset()
        stream = await stranger.open_stream(target)
        await stream.send(b"\x00garbage")
        with pytest.raises(StreamReset):
            await read_raw(stream)
        assert (await nodes[1].ask("still there?", peer="node-1")).verified
        await stranger.close()


async def test_joiner_is_asked_to_wait_while_the_own_profile_is_not_there(monkeypatch):
    monkeypatch.setattr(inviting_module, "PROFILE_MS", 10)
    async with mesh(1, suite="ed25519") as (node,):
        inviter = node._inviter
        assert len(await inviter._load_credentials()) == 1
        monkeypatch.setattr(node._runtime, "view", lambda: SimpleNamespace(members=()))
        with pytest.raises(Exception, match="try again in a moment"):
            await inviter._load_credentials()


async def test_settling_waits_for_the_first_advert_only():
    async with mesh(2, suite="ed25519") as nodes:
        await nodes[0]._port.settle(timeout_ms=1)
        await nodes[1].close()
        await until(lambda: not nodes[0]._port.list_serving_peers())
        waiting = asyncio.create_task(nodes[0]._port.settle(timeout_ms=60_000))
        await asyncio.sleep(0)
        await nodes[0].publish("an event without news of peers")
        waiting.cancel()
        await asyncio.wait({waiting})
        found = await nodes[0]._port.find_vertex(bytes(32), timeout_ms=1)
        assert found is None
        with pytest.raises(DeadlineExceeded):
            await nodes[0].wait_for_peers(timeout_ms=1)


async def test_port_tells_when_peers_come_and_go_even_to_who_listened_too_slowly(monkeypatch):
    async with mesh(2, suite="ed25519") as nodes:
        port = nodes[0]._port
        rings: list[None] = []
        following = asyncio.create_task(port.follow_peers(lambda: rings.append(None)))
        await until(lambda: rings)
        await nodes[0].publish("an event without news of peers")
        assert len(rings) == 1
        hub = nodes[0]._runtime._hub
        for subscription in list(hub._subscriptions):
            subscription._missed = 1
            subscription._news.set()
        await until(lambda: len(rings) == 2)
        await nodes[1].close()
        await until(lambda: len(rings) > 2)
        await nodes[0].close()
        await asyncio.wait_for(following, 5)


async def test_strangers_are_bounded(monkeypatch):
    monkeypatch.setattr(streams_module, "STRANGERS_MAX", 1)
    scene = Scene()
    waiting, further = FakeStream(), FakeStream(b"join me")
    serving = asyncio.create_task(scene.router.serve(waiting))
    await until(lambda: scene.router._strangers == 1)
    await scene.router.serve(further)
    assert scene.joins.seen == []
    assert further.ended.is_set()
    waiting.frames.append(b"join me")
    waiting.ended.set()
    serving.cancel()
    await asyncio.wait({serving})
    assert scene.router._strangers == 0
