"""A direct connection in the place of a relayed one: who begins, who dials what, what stays bounded.

Everything runs on the loopback, where nothing filters: that both dials meet through real routers is
shown by `tests.campaigns.holepunch`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
import pytest_asyncio
import trio

from meshnode.errors import TransportError
from meshnode.transport.base import Channel
from meshnode.transport.libp2p import punching
from meshnode.transport.libp2p.dcutr import PunchFailed, Target
from tests.support.transports import Lab, connected

DEADLINE_S = 20.0


class PunchScene:
    """A relay and two peers that have met at it; each dials directly only where it is told to."""

    def __init__(self, lab):
        self.lab = lab
        self.allowed = True

    async def open(self, *, caller=True, hidden=True):
        self.relay = await self.lab.start("relay")
        self.hidden = await self.lab.start("hidden")
        self.caller = await self.lab.start("caller")
        self.relay.transport.serve_relay(lambda _peer: True)
        if caller:
            self.caller.transport.punch_holes(lambda _peer: self.allowed)
        if hidden:
            self.hidden.transport.punch_holes(lambda _peer: self.allowed)
        addresses = self.relay.transport.addresses
        await self.hidden.transport.reserve(self.relay.id, addresses)
        way = f"{addresses[0]}/p2p-circuit/p2p/{self.hidden.id}"
        await self.caller.transport.dial(self.hidden.id, [way])
        await connected(self.caller, self.hidden)

    async def punch(self):
        return await self.hidden.transport.punch(self.caller.id)

    async def check_relayed(self):
        """The relayed connection stands as it did."""
        assert self.caller.send(self.hidden, Channel.CONTROL, b"still here")
        await self.hidden.seen.until(lambda: self.hidden.seen.payloads(Channel.CONTROL))
        assert self.caller.seen.count("disconnected") == 0

    def port_of(self, peer):
        return int(peer.transport.addresses[0].split("/")[4])


@pytest_asyncio.fixture
async def scene():
    lab = Lab("libp2p")
    yield PunchScene(lab)
    await lab.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


@pytest.fixture
def hasty(monkeypatch):
    """Tries that come to nothing end soon."""
    monkeypatch.setattr(punching, "DIAL_S", 0.4)
    monkeypatch.setattr(punching, "DIAL_BACK_S", 0.2)


async def test_both_dial_at_once_and_the_direct_connection_takes_over(scene):
    await scene.open()
    assert 1 <= await scene.punch() <= punching.TRIES_MAX
    for peer in (scene.caller, scene.hidden):
        await peer.seen.until(lambda peer=peer: peer.seen.connections == 2)
    for peer, other in ((scene.caller, scene.hidden), (scene.hidden, scene.caller)):
        host, port = peer.seen.addresses[other.id].split("/")[2:5:2]
        assert (host, int(port)) == ("127.0.0.1", scene.port_of(other)), "from and to those ports"
        assert other.send(peer, Channel.CONTROL, b"straight")
        await peer.seen.until(lambda peer=peer: peer.seen.payloads(Channel.CONTROL))
    counters = scene.hidden.transport.counters
    assert (counters["punches"], counters["punches_failed"]) == (1, 0)
    assert await scene.punch() == 0, "a direct connection is not bettered"


async def test_frames_under_way_on_the_relayed_connection_still_arrive(scene):
    await scene.open()
    sent = [number.to_bytes(2, "big") * 500 for number in range(40)]
    assert scene.caller.transport.send(scene.hidden.id, Channel.CONTROL, sent)
    await scene.punch()
    await scene.hidden.seen.until(lambda: scene.hidden.seen.connections == 2)
    await scene.hidden.seen.until(lambda: len(scene.hidden.seen.payloads(Channel.CONTROL)) == 40)
    assert scene.hidden.seen.payloads(Channel.CONTROL) == sent


async def test_peer_that_is_first_is_met_at_the_listening_port(scene, monkeypatch):
    """The peer's dial comes before this node's own: both ends agree all the same on who begins."""
    await scene.open()
    ports = scene.caller.transport._ports

    async def never(_host, _port):
        raise OSError("the connection stands already")

    monkeypatch.setattr(ports, "connect", never)
    assert 1 <= await scene.punch() <= punching.TRIES_MAX
    await scene.caller.seen.until(lambda: scene.caller.seen.connections == 2)
    assert scene.caller.seen.events[-1][0] == "outbound", "who has answered is the client"


async def test_nothing_coming_through_leaves_the_relayed_connection_after_three_tries(
    scene, hasty, monkeypatch
):
    await scene.open()
    dialled = []

    async def silence(host, port):
        dialled.append((host, port))
        await trio.sleep_forever()

    for peer in (scene.caller, scene.hidden):
        monkeypatch.setattr(peer.transport._ports, "connect", silence)
    with pytest.raises(PunchFailed, match="in 3 tries"):
        await scene.punch()
    await scene.check_relayed()
    assert len(dialled) <= 2 * punching.TRIES_MAX, "one address, each end once in a try"
    assert scene.hidden.transport.counters["punches_failed"] == 1
    with pytest.raises(TransportError):
        await scene.punch()
    assert len(dialled) <= 2 * punching.TRIES_MAX, "asked again too soon, the peer dials nobody"


async def test_only_the_end_that_was_dialled_begins(scene):
    await scene.open()
    with pytest.raises(PunchFailed, match="which was dialled"):
        await scene.caller.transport.punch(scene.hidden.id)


async def test_peer_that_takes_no_part_is_not_answered(scene):
    await scene.open()
    scene.allowed = False
    with pytest.raises(PunchFailed):
        await scene.punch()
    await scene.check_relayed()


async def test_peer_that_has_the_setting_off_refuses_and_begins_nothing(scene):
    await scene.open(caller=False)
    with pytest.raises(PunchFailed, match="refused the stream"):
        await scene.punch()
    with pytest.raises(PunchFailed, match="no connection to better"):
        await scene.caller.transport.punch(scene.hidden.id)
    await scene.check_relayed()


async def test_relay_that_does_not_say_where_it_sees_peers_leads_to_no_dial(scene, monkeypatch):
    monkeypatch.setattr("meshnode.transport.libp2p.circuits.read_seen_host", lambda _message: None)
    await scene.open()
    dialled = []

    async def note(host, port):
        dialled.append((host, port))
        raise OSError("not in this test")

    for peer in (scene.caller, scene.hidden):
        monkeypatch.setattr(peer.transport._ports, "connect", note)
    with pytest.raises(PunchFailed):
        await scene.punch()
    await scene.check_relayed()
    assert dialled == []


async def test_second_node_on_a_port_that_is_dialled_from_still_fails(scene):
    await scene.open()
    from meshnode.transport.libp2p.transport import Libp2pTransport

    port = scene.port_of(scene.hidden)
    second = Libp2pTransport(bytes(32), listen=[f"/ip4/127.0.0.1/tcp/{port}"])
    with pytest.raises(TransportError, match="in use"):
        await second.start(scene.lab.peers[0].seen)


async def test_peer_that_names_a_service_gets_it_dialled_few_times(scene, hasty, monkeypatch):
    begun = []

    async def say_nothing(reader, writer):
        begun.append(writer)
        try:
            with suppress(OSError):
                while await reader.read(1_024):
                    continue
        finally:
            writer.close()

    await scene.open()
    service = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    target = Target("127.0.0.1", service.sockets[0].getsockname()[1])
    monkeypatch.setattr(punching, "pick_targets", lambda *_args, **_kwargs: (target,))
    with pytest.raises(PunchFailed, match="in 3 tries"):
        await scene.punch()
    await scene.check_relayed()
    assert len(begun) <= 2 * punching.TRIES_MAX
    service.close()
