"""What comes from the transport on its way to the core, and who is made to wait."""

from __future__ import annotations

import asyncio

import pytest

from dag.errors import Offence
from meshnode.core.admission import Admission
from meshnode.core.inputs import Connected, Disconnected, Received, Rejected, Vertices
from meshnode.core.messages import Ping, Push, encode_message
from meshnode.shell.bulk import BulkSender
from meshnode.shell.gate import Gate
from meshnode.shell.inbox import Inbox
from meshnode.shell.telemetry import Telemetry
from meshnode.shell.verify_pool import HOP_BYTES_MAX, VerifyPool
from meshnode.transport.base import Channel, PeerId
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(authors=2).profiles().layer(body=bytes(5_000))
PING = encode_message(Ping(1))
PUSH = encode_message(Push(tuple(v.wire for v in BUILDER.vertices)))


class Authors:
    def get_keys(self, author):
        return next((p.keys for p in BUILDER.people if p.author == author), None)


class Bulk(BulkSender):
    def __init__(self):
        self.dropped = []

    def drop(self, peer):
        self.dropped.append(peer)


class SlowPool(VerifyPool):
    """A pool with two threads that are done when the test says so; a frame is a hop."""

    def __init__(self):
        super().__init__(BUILDER.people[0].secrets, "ed25519")
        self.hops = {}

    @property
    def is_idle(self):
        return sum(not hop.done() for hop in self.hops.values()) < 2

    def check(self, admission, frames, peer=""):
        (frame,) = frames
        self.hops[frame[0]] = asyncio.get_running_loop().create_future()
        return self.hops[frame[0]]

    def finish(self, number):
        self.hops[number].set_result([Ping(number)])


class Stream:
    def __init__(self):
        self.resets = 0

    def reset(self):
        self.resets += 1


@pytest.fixture
async def gate():
    pool = VerifyPool(BUILDER.people[0].secrets, "ed25519")
    gate = Gate(inbox=Inbox(4), pool=pool, bulk=Bulk(), telemetry=Telemetry())
    yield gate
    await pool.close()


def admit(gate):
    gate.open(Admission(BUILDER.network, "ed25519", Authors(), lambda vertex_id: False))


def take_all(gate):
    stamps = []
    while (stamp := gate._inbox.take()) is not None:
        stamps.append(stamp(7))
    return stamps


async def test_gate_lets_frames_wait_until_the_core_runs(gate):
    gate.connected("a", inbound=True, remote_address="x")
    waiting = asyncio.ensure_future(gate.deliver("a", Channel.CONTROL, [PING, b"\xc1", PUSH]))
    await asyncio.sleep(0)
    assert take_all(gate) == [Connected(7, "a", True, "x")]
    admit(gate)
    await waiting
    received, rejected, vertices = take_all(gate)
    assert received == Received(7, "a", Ping(1))
    assert isinstance(rejected, Rejected)
    assert rejected.offence is Offence.MALFORMED
    assert isinstance(vertices.message, Vertices)
    assert gate._telemetry.snapshot()["counters"]["frames_received"] == 3


@pytest.fixture
def slow_gate():
    gate = Gate(inbox=Inbox(16), pool=SlowPool(), bulk=Bulk(), telemetry=Telemetry())
    admit(gate)
    gate.connected(PeerId("a"), inbound=True, remote_address="x")
    return gate


def make_hops(count):
    return [bytes([number]) * HOP_BYTES_MAX for number in range(count)]


async def turn_loop():
    for _ in range(4):
        await asyncio.sleep(0)


async def test_gate_keeps_every_thread_busy_and_the_order_of_what_they_check(slow_gate):
    pool = slow_gate._pool
    waiting = asyncio.ensure_future(slow_gate.deliver("a", Channel.BULK, make_hops(4)))
    await turn_loop()
    assert list(pool.hops) == [0, 1]
    pool.finish(1)
    await turn_loop()
    assert list(pool.hops) == [0, 1], "the first is awaited first, so that little piles up"
    pool.finish(0)
    await turn_loop()
    assert list(pool.hops) == [0, 1, 2, 3]
    pool.finish(3)
    pool.finish(2)
    await waiting
    assert [entry.message for entry in take_all(slow_gate)[1:]] == [Ping(n) for n in range(4)]


async def test_gate_gives_up_what_it_has_begun_to_check_when_its_reader_ends(slow_gate):
    pool = slow_gate._pool
    waiting = asyncio.ensure_future(slow_gate.deliver("a", Channel.BULK, make_hops(3)))
    await turn_loop()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert [hop.cancelled() for hop in pool.hops.values()] == [True, True]
    assert len(take_all(slow_gate)) == 1


async def test_gate_drops_what_was_checked_for_a_connection_that_ended(gate):
    admit(gate)
    gate.connected("a", inbound=True, remote_address="x")
    waiting = asyncio.ensure_future(gate.deliver("a", Channel.BULK, [PUSH]))
    await asyncio.sleep(0)
    gate.disconnected("a", reason="gone")
    gate.connected("a", inbound=True, remote_address="y")
    await waiting
    await gate.deliver("b", Channel.CONTROL, [PING])
    assert [type(entry) for entry in take_all(gate)] == [Connected, Disconnected, Connected]
    assert gate._bulk.dropped == ["a"]


async def test_gate_stops_reading_a_peer_while_the_inbox_is_full(gate):
    admit(gate)
    gate.connected("a", inbound=True, remote_address="x")
    await gate.deliver("a", Channel.CONTROL, [PING] * 3)
    waiting = asyncio.ensure_future(gate.deliver("a", Channel.CONTROL, [PING]))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert len(take_all(gate)) == 4
    gate._inbox.release()
    await waiting
    assert len(take_all(gate)) == 1


async def test_gate_refuses_the_channel_nobody_listens_on(gate):
    admit(gate)
    gate.connected("a", inbound=True, remote_address="x")
    await gate.deliver("a", Channel.RPC, [PING])
    assert take_all(gate)[1].offence is Offence.UNASKED


async def test_gate_passes_on_what_the_transport_saw(gate):
    gate.offended("a", offence="flood", detail="d")
    gate.offended("a", offence="something new", detail="e")
    assert take_all(gate) == [
        Rejected(7, "a", Offence.FLOOD, "d"),
        Rejected(7, "a", Offence.BAD_STREAM, "e"),
    ]


async def test_gate_resets_streams_until_somebody_serves_them(gate):
    stream, served = Stream(), []
    await gate.serve(stream)
    assert stream.resets == 1

    async def handler(stream):
        served.append(stream)

    gate.set_stream_handler(handler)
    await gate.serve(stream)
    assert served == [stream]
    assert stream.resets == 1


async def test_a_connection_is_heard_from_when_the_core_took_note_until_it_ends(gate):
    assert not gate.is_heard("a")
    gate.connected("a", inbound=True, remote_address="x")
    assert not gate.is_heard("a")
    take_all(gate)
    assert gate.is_heard("a")
    gate.disconnected("a", reason="gone")
    assert not gate.is_heard("a")
    gate.connected("a", inbound=True, remote_address="x")
    assert not gate.is_heard("a")
    take_all(gate)
    assert gate.is_heard("a")
