"""What only the memory network does, and rules of sessions that it shows best."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from meshnode.errors import DialFailed, StreamReset
from meshnode.transport.base import Channel
from meshnode.transport.limits import TransportLimits
from tests.support.transports import DEADLINE_S, Lab, frames_of, received


@pytest_asyncio.fixture
async def lab():
    lab = Lab("memory")
    yield lab
    await lab.close()


async def read_all(stream):
    while await stream.receive() is not None:
        pass


async def send_for_ever(stream):
    while True:
        await stream.send(bytes(1_000))
        await asyncio.sleep(0)


async def test_cut_ends_a_connection_and_refuses_dials_until_healed(lab):
    one, other = await lab.pair()
    lab.network.cut(other.id, one.id)
    for peer in (one, other):
        await peer.seen.until(lambda peer=peer: peer.seen.count("disconnected") == 1)
    with pytest.raises(DialFailed):
        await one.dial(other)
    lab.network.heal(one.id, other.id)
    await one.dial(other)
    await other.seen.until(lambda: other.seen.connections == 2)


async def test_cut_of_strangers_only_refuses_dials(lab):
    one, other = await lab.start("one"), await lab.start("other")
    lab.network.cut(one.id, other.id)
    lab.network.cut(other.id, "nobody")
    with pytest.raises(DialFailed):
        await other.dial(one)


async def test_the_same_calls_give_the_same_events_in_the_same_order():
    async def story(lab):
        peers = [await lab.start(str(index)) for index in range(4)]
        for one in peers:
            for other in peers:
                if one is not other:
                    await one.dial(other)
                    one.send(other, Channel.CONTROL, one.id.encode())
        for peer in peers:
            await peer.seen.until(lambda peer=peer: len(peer.seen.frames) == 3)
        await lab.close()
        return [(peer.seen.events, peer.seen.frames) for peer in peers]

    assert await story(Lab("memory")) == await story(Lab("memory"))


async def test_what_arrived_before_a_break_is_still_delivered(lab):
    one, other = await lab.pair()
    other.seen.gate.clear()
    one.send(other, Channel.CONTROL, b"first")
    await received(other, 1)
    one.send(other, Channel.CONTROL, b"second")
    await received(other, 2)
    lab.network.cut(one.id, other.id)
    other.seen.gate.set()
    await other.seen.until(lambda: other.seen.count("disconnected") == 1)
    assert other.seen.payloads(Channel.CONTROL) == [b"first", b"second"]


async def test_a_stream_nobody_reads_is_reset_after_the_slow_reader_deadline(lab):
    one, other = await lab.pair(TransportLimits(slow_reader_ms=100))
    ended = asyncio.Event()

    async def flood(stream):
        try:
            for frame in frames_of(10_000, 200):
                await stream.send(frame)
        finally:
            ended.set()

    other.seen.serving = flood
    stream = await one.transport.open_stream(other.id)
    await asyncio.wait_for(ended.wait(), DEADLINE_S)
    with pytest.raises(StreamReset):
        await read_all(stream)
    assert other.seen.count("disconnected") == 0


async def test_a_stream_whose_peer_never_finishes_is_reset_after_lingering(lab):
    one, other = await lab.pair(TransportLimits(linger_ms=20))

    async def say_and_leave(stream):
        await stream.send(b"answer")
        await stream.finish()

    other.seen.serving = say_and_leave
    stream = await one.transport.open_stream(other.id)
    assert await stream.receive() == b"answer"
    assert await stream.receive() is None
    with pytest.raises(StreamReset):
        await send_for_ever(stream)


async def test_finish_fails_when_the_stream_ends_before_all_is_sent(lab):
    one, other = await lab.pair()

    async def leave(stream):
        await stream.receive()

    other.seen.serving = leave
    stream = await one.transport.open_stream(other.id)
    stream.link.offer(frames_of(60_000, 8))
    with pytest.raises(StreamReset):
        await stream.finish()


async def test_a_newer_connection_replaces_one_that_the_peer_gave_up(lab):
    """The peer dials although this side believes it is connected: the old connection is dead."""
    limits = TransportLimits(dial_ms=0)
    one, other = await lab.pair(limits)
    await asyncio.sleep(0.001)
    other.transport._connect(one.transport)  # what a restarted peer does
    await one.seen.until(lambda: one.seen.connections == 2)
    assert [event for event, _ in one.seen.events] == ["outbound", "disconnected", "inbound"]
    assert other.seen.connections == 2


async def test_of_two_simultaneous_connections_the_smaller_ids_dial_stays(lab):
    one, other = await lab.start("one"), await lab.start("other")
    smaller, larger = sorted((one.transport, other.transport), key=lambda node: node.peer_id)
    larger._connect(smaller)
    smaller._connect(larger)
    larger._connect(smaller)
    for peer in (one, other):
        await peer.seen.until(lambda peer=peer: peer.seen.connections == 2)
    await asyncio.sleep(0)
    assert one.seen.connections == other.seen.connections == 2
    assert one.seen.events[-1] == ("outbound", other.id)
    assert other.seen.events[-1] == ("inbound", one.id)


async def test_a_transport_is_started_once(lab):
    one = await lab.start("one")
    lab.network.remove(one.transport)
    with pytest.raises(AssertionError):
        await one.transport.start(one.seen)


async def test_opening_a_stream_fails_when_the_connection_ends_meanwhile(lab):
    one, other = await lab.pair()
    opening = asyncio.create_task(one.transport.open_stream(other.id))
    await asyncio.sleep(0)
    one.transport.hang_up(other.id, reason="goodbye")
    with pytest.raises(Exception, match="has ended"):
        await opening
