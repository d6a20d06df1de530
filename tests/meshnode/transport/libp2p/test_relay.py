"""Reaching a peer through a relay, over real sockets: who may, what it costs, when it ends."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.base import Channel
from meshnode.transport.limits import RelayLimits, TransportLimits
from tests.support.transports import Lab, connected

DEADLINE_S = 20.0


class RelayScene:
    """A relay, somebody whom nobody can dial, and somebody who wants to."""

    def __init__(self, lab):
        self.lab = lab
        self.members = set()

    async def open(self, limits=None, relay_limits=None):
        self.relay = await self.lab.start("relay")
        self.hidden = await self.lab.start("hidden", limits)
        self.caller = await self.lab.start("caller", limits)
        self.members = {peer.id for peer in (self.relay, self.hidden, self.caller)}
        self.relay.transport.serve_relay(lambda peer: peer in self.members, relay_limits)

    async def reserve(self, who=None):
        who = who or self.hidden
        return await who.transport.reserve(self.relay.id, self.relay.transport.addresses)

    @property
    def way(self):
        address = self.relay.transport.addresses[0]
        return f"{address}/p2p-circuit/p2p/{self.hidden.id}"

    async def call(self):
        # Where it listens, nobody gets through: a closed port stands for that.
        closed = f"/ip4/127.0.0.1/tcp/1/p2p/{self.hidden.id}"
        await self.caller.transport.dial(self.hidden.id, [closed, self.way])

    @property
    def counters(self):
        return self.relay.transport.counters

    async def until(self, condition):
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - any state of running nodes
                await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def scene():
    lab = Lab("libp2p")
    yield RelayScene(lab)
    await lab.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_hidden_peer_is_reached_through_the_relay_and_both_prove_their_keys(scene):
    await scene.open()
    reservation = await scene.reserve()
    assert reservation.relay == scene.relay.id
    await scene.call()
    await connected(scene.caller, scene.hidden)
    assert scene.caller.send(scene.hidden, Channel.CONTROL, b"hello")
    assert scene.hidden.send(scene.caller, Channel.BULK, b"x" * 60_000)
    await scene.hidden.seen.until(lambda: scene.hidden.seen.payloads(Channel.CONTROL))
    await scene.caller.seen.until(lambda: scene.caller.seen.payloads(Channel.BULK))
    assert "/p2p-circuit" in scene.hidden.seen.addresses[scene.caller.id]
    assert scene.relay.seen.connections == 0, "the relay is nobody's neighbour"
    assert scene.counters["relay_circuits"] == 1
    assert scene.counters["relay_bytes"] > 60_000


async def test_streams_go_through_the_relay_too(scene):
    await scene.open()
    await scene.reserve()

    async def echo(stream):
        while (frame := await stream.receive()) is not None:
            await stream.send(frame)
        await stream.finish()

    scene.hidden.seen.serving = echo
    await scene.call()
    stream = await scene.caller.transport.open_stream(scene.hidden.id)
    for number in range(20):
        await stream.send(bytes([number]) * 50_000)
        assert await stream.receive() == bytes([number]) * 50_000
    await stream.finish()
    assert await stream.receive() is None


async def test_stranger_gets_no_place_and_no_circuit(scene):
    await scene.open()
    await scene.reserve()
    stranger = await scene.lab.start("stranger")
    with pytest.raises(TransportError, match="members only"):
        await scene.reserve(stranger)
    with pytest.raises(DialFailed, match="members only"):
        await stranger.transport.dial(scene.hidden.id, [scene.way])
    assert scene.counters["relay_refused"] == 2
    assert scene.hidden.seen.connections == 0


async def test_peer_without_a_place_is_not_reached(scene):
    await scene.open()
    with pytest.raises(DialFailed, match="no reservation"):
        await scene.call()


async def test_peer_that_is_no_relay_says_so(scene):
    await scene.open()
    with pytest.raises(TransportError, match="no relay"):
        await scene.caller.transport.reserve(scene.hidden.id, scene.hidden.transport.addresses)


async def test_places_are_limited(scene):
    await scene.open(relay_limits=RelayLimits(reservations=1))
    await scene.reserve()
    with pytest.raises(TransportError, match="no place"):
        await scene.reserve(scene.caller)
    await scene.reserve()  # whoever has a place renews it


async def test_circuits_are_limited(scene):
    await scene.open(relay_limits=RelayLimits(circuits=0))
    await scene.reserve()
    with pytest.raises(DialFailed, match="as many connections"):
        await scene.call()


async def test_circuit_ends_when_it_has_carried_enough(scene):
    await scene.open(relay_limits=RelayLimits(circuit_bytes=100_000))
    await scene.reserve()
    await scene.call()
    await connected(scene.caller, scene.hidden)
    for _ in range(4):
        scene.caller.send(scene.hidden, Channel.CONTROL, b"x" * 50_000)
    await scene.hidden.seen.until(lambda: scene.hidden.seen.count("disconnected") == 1)
    assert scene.counters["relay_bytes"] <= 100_000


async def test_circuit_ends_when_its_time_is_over(scene):
    await scene.open(relay_limits=RelayLimits(circuit_ms=500))
    await scene.reserve()
    await scene.call()
    await scene.caller.seen.until(lambda: scene.caller.seen.count("disconnected") == 1)


async def test_circuit_of_somebody_who_is_no_member_any_more_ends(scene, monkeypatch):
    monkeypatch.setattr("meshnode.transport.libp2p.relay_server.CHECK_S", 0.05)
    await scene.open()
    await scene.reserve()
    await scene.call()
    await connected(scene.caller, scene.hidden)
    scene.members.remove(scene.caller.id)
    await scene.caller.seen.until(lambda: scene.caller.seen.count("disconnected") == 1)


async def test_reservation_ends_with_its_holder(scene):
    await scene.open()
    await scene.reserve()
    assert scene.relay.transport.relay_server.reservations == 1
    assert scene.hidden.transport.relays == (scene.relay.id,)
    scene.hidden.transport.release(scene.relay.id)
    await scene.until(lambda: scene.relay.transport.relay_server.reservations == 0)
    assert scene.hidden.transport.relays == ()


async def test_direct_connection_takes_the_place_of_the_relayed_one(scene):
    await scene.open()
    await scene.reserve()
    await scene.call()
    await connected(scene.caller, scene.hidden)
    await scene.hidden.dial(scene.caller)  # does nothing while one stands
    assert scene.hidden.seen.connections == 1
    await scene.hidden.transport.upgrade(scene.caller.id, scene.caller.transport.addresses)
    await scene.caller.seen.until(lambda: scene.caller.seen.connections == 2)
    await scene.until(lambda: scene.relay.transport.relay_server.circuits == 0)
    assert "/p2p-circuit" not in scene.caller.seen.addresses[scene.hidden.id]
    assert scene.caller.send(scene.hidden, Channel.CONTROL, b"straight")
    await scene.hidden.seen.until(lambda: scene.hidden.seen.payloads(Channel.CONTROL))


async def test_failed_upgrade_leaves_the_relayed_connection_alone(scene):
    await scene.open()
    await scene.reserve()
    await scene.call()
    await connected(scene.caller, scene.hidden)
    with pytest.raises(DialFailed):
        await scene.caller.transport.upgrade(scene.hidden.id, ["/ip4/127.0.0.1/tcp/1", scene.way])
    assert scene.caller.send(scene.hidden, Channel.CONTROL, b"still here")
    await scene.hidden.seen.until(lambda: scene.hidden.seen.payloads(Channel.CONTROL))
    assert scene.caller.seen.count("disconnected") == 0


async def test_probe_sees_who_is_there_beside_a_connection_that_stands(scene):
    await scene.open()
    await scene.caller.dial(scene.hidden)
    await scene.caller.transport.probe(scene.hidden.id, scene.hidden.transport.addresses[0])
    with pytest.raises(TransportError):
        await scene.caller.transport.probe(scene.hidden.id, "/ip4/127.0.0.1/tcp/1")
    with pytest.raises(TransportError, match="another peer answered"):
        await scene.caller.transport.probe(scene.hidden.id, scene.relay.transport.addresses[0])
    assert scene.caller.seen.count("disconnected") == 0


async def test_bulk_through_a_relay_is_slower_than_what_must_not_wait(scene):
    await scene.open(TransportLimits(relayed_bulk_bytes_per_s=100_000))
    await scene.reserve()
    await scene.call()
    await connected(scene.caller, scene.hidden)
    for _ in range(20):
        scene.caller.send(scene.hidden, Channel.BULK, b"b" * 50_000)
    scene.caller.send(scene.hidden, Channel.CONTROL, b"urgent")
    await scene.hidden.seen.until(lambda: scene.hidden.seen.payloads(Channel.CONTROL))
    assert len(scene.hidden.seen.payloads(Channel.BULK)) < 20
