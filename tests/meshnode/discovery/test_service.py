"""Nodes over real sockets find each other: at a rendezvous point, on the LAN, through a relay."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from meshnode import open_node
from meshnode.discovery.service import read_points
from tests.support.multicast import find_obstacle

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
CLOSED = ("/ip4/127.0.0.1/tcp/1",)
WAIT_S = 60.0


class Homes:
    """Nodes by name, each with a home that outlives it."""

    def __init__(self, folder):
        self.folder = folder
        self._stacks = {}

    async def open(self, name, **options):
        stack = AsyncExitStack()
        options = {"listen": LISTEN, "engine": "none", "suite": "ed25519"} | options
        node = await stack.enter_async_context(
            open_node(home=self.folder / name, name=name, **options)
        )
        self._stacks[name] = stack
        return node

    async def close(self, *names, moves=False):
        for name in names or list(self._stacks):
            await self._stacks.pop(name).aclose()
            if moves:
                (self.folder / name / "port").unlink()


@pytest.fixture
async def homes(tmp_path):
    homes = Homes(tmp_path)
    yield homes
    await homes.close()


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not await condition():  # noqa: ASYNC110 - the state of a running node
            await asyncio.sleep(0.02)


async def until_linked(node, *others):
    async def is_linked():
        ready = {peer.author for peer in await node.peers() if peer.ready}
        return ready >= {other.author for other in others}

    await until(is_linked)


async def find_way(node, name):
    return next(way for way in (await node.status()).ways if way.name == name)


async def until_way(node, name, state):
    async def stands():
        return any(way.name == name and way.state == state for way in (await node.status()).ways)

    await until(stands)


@pytest.mark.timeout(150)
async def test_node_whose_addresses_are_all_old_finds_the_mesh_at_a_rendezvous_point(homes):
    founder = await homes.open("founder", network_name="moved")
    ticket = await founder.invite(uses=2)
    point = await homes.open("point", ticket=ticket)
    lost = await homes.open("lost", ticket=ticket)
    await until_linked(lost, founder, point)
    await homes.close(moves=True)
    # All of them are elsewhere now: what each knows of the others is old.
    point = await homes.open("point", serve_rendezvous=True)
    named = {"rendezvous": point.addresses}
    founder = await homes.open("founder", **named)
    lost = await homes.open("lost", **named)
    await until_linked(lost, founder, point)
    await until_way(lost, "rendezvous", "ok")
    assert "visits so far" in (await find_way(point, "rendezvous")).detail


@pytest.mark.timeout(150)
@pytest.mark.skipif(bool(find_obstacle()), reason="loopback carries no multicast here")
async def test_node_whose_addresses_are_all_old_finds_the_mesh_on_the_lan(homes):
    founder = await homes.open("founder", network_name="home", mdns=True)
    guest = await homes.open("guest", ticket=await founder.invite(), mdns=True)
    await until_linked(guest, founder)
    await homes.close(moves=True)
    founder = await homes.open("founder", mdns=True)
    guest = await homes.open("guest", mdns=True)
    await until_linked(guest, founder)
    assert (await find_way(guest, "mdns")).state == "ok"


@pytest.mark.timeout(150)
async def test_hidden_members_meet_at_a_relay_and_a_peer_that_dials_back_tells_who_is_hidden(homes):
    relay = await homes.open("relay", network_name="far", serve_relay=True, serve_rendezvous=True)
    ticket = await relay.invite(uses=2)
    one = await homes.open("one", ticket=ticket, advertise=CLOSED)
    other = await homes.open("other", ticket=ticket, advertise=CLOSED)
    await until_linked(one, other, relay)
    await until_way(one, "reachable", "info")
    await until_way(other, "relay", "ok")
    await until_way(relay, "reachable", "ok")
    assert (await relay.status()).counters["relay_circuits"] >= 1


@pytest.mark.timeout(150)
async def test_node_that_uses_no_relays_takes_no_place(homes):
    relay = await homes.open("relay", network_name="far", serve_relay=True, serve_rendezvous=True)
    proud = await homes.open(
        "proud", ticket=await relay.invite(), advertise=CLOSED, use_relays=False
    )
    await until_way(proud, "reachable", "fail")
    assert (await find_way(proud, "relay")).state == "info"
    assert (await relay.status()).counters["relay_reservations"] == 0


def test_points_are_read_by_peer_and_what_names_none_is_left_out():
    texts = ("/ip4/1.2.3.4/tcp/1/p2p/A", "/ip4/1.2.3.4/tcp/2", "/dns4/x/tcp/3/p2p/A")
    assert read_points(texts) == (("A", ("/ip4/1.2.3.4/tcp/1/p2p/A", "/dns4/x/tcp/3/p2p/A")),)
