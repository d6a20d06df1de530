"""One session makes way for another: nothing is lost that was under way, nothing comes too early."""

from __future__ import annotations

import asyncio
import contextvars

import pytest

from meshnode.transport.base import Channel, PeerId
from meshnode.transport.limits import TransportLimits
from meshnode.transport.link import FrameLink
from meshnode.transport.session import Session, SessionHost
from tests.support.transports import Recorder

PEER = PeerId("peer")
RELAYED = "/ip4/127.0.0.1/tcp/1/p2p/relay/p2p-circuit"
DEADLINE_S = 20.0


class IdleCarrier:
    """Moves bytes only when the test does."""

    def __init__(self):
        self.aborted = False

    def abort(self):
        self.aborted = True

    async def open_stream(self):
        raise AssertionError("no streams in this test")


class Scene:
    """A session and its successor at one end; the other end's links by hand."""

    def __init__(self):
        limits = TransportLimits()
        self.seen = Recorder()
        self.over: list[Session] = []
        self.host = SessionHost(
            handler=self.seen,
            limits=limits,
            counters=dict.fromkeys(("frames_sent", "frames_received", "offences"), 0),
            context=contextvars.copy_context(),
            on_over=self.over.append,
        )
        self.old = self.make(RELAYED)
        self.new = self.make("/ip4/127.0.0.1/tcp/2")
        self.theirs = {
            channel: FrameLink(window_bytes=link.window_bytes, queue_bytes_max=1 << 20)
            for channel, link in self.old.links.items()
        }

    def make(self, address):
        return Session(self.host, IdleCarrier(), peer=PEER, inbound=True, address=address)

    async def begin(self):
        self.old.start(None)
        await self.seen.until(lambda: self.seen.connections == 1)

    def carry(self):
        """Whatever the old session's ends have to say reaches the other one."""
        for channel, mine in self.old.links.items():
            theirs = self.theirs[channel]
            while (out := mine.next_write()) or (back := theirs.next_write()):
                if out:
                    mine.written()
                    theirs.feed(out)
                else:
                    theirs.written()
                    self.old.feed(mine, back)

    async def end(self):
        for session in (self.old, self.new):
            session.abort("the test is over")
            await session.close()


@pytest.fixture
async def scene():
    scene = Scene()
    yield scene
    await scene.end()


async def test_what_either_side_has_queued_arrives_before_the_successor_is_announced(scene):
    await scene.begin()
    assert scene.old.send(Channel.CONTROL, [b"mine"])
    assert scene.theirs[Channel.CONTROL].offer([b"theirs"])
    scene.old.retire("replaced")
    scene.new.start(scene.old)
    for link in scene.theirs.values():
        link.finish()
    scene.carry()
    await scene.seen.until(lambda: scene.seen.connections == 2)
    assert scene.theirs[Channel.CONTROL].take() == [b"mine"]
    assert scene.seen.payloads(Channel.CONTROL) == [b"theirs"]
    assert [name for name, _ in scene.seen.events] == ["inbound", "disconnected", "inbound"]
    assert scene.seen.reasons[PEER] == "replaced"


async def test_successor_sends_nothing_before_it_was_announced(scene):
    await scene.begin()
    scene.old.retire("replaced")
    scene.new.start(scene.old)
    assert not scene.old.send(Channel.CONTROL, [b"too late"])
    assert not scene.new.send(Channel.CONTROL, [b"too early"])
    for link in scene.theirs.values():
        link.finish()
    scene.carry()
    await scene.seen.until(lambda: scene.seen.connections == 2)
    assert scene.new.send(Channel.CONTROL, [b"in time"])


async def test_peer_that_does_not_finish_is_waited_for_no_longer_than_the_grace(scene):
    await scene.begin()
    scene.old.retire("replaced")
    scene.old.retire("once is enough")
    scene.new.start(scene.old)
    async with asyncio.timeout(DEADLINE_S):
        await scene.old.over.wait()
    await scene.seen.until(lambda: scene.seen.connections == 2)
    assert scene.old.carrier.aborted
