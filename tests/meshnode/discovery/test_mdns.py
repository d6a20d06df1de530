"""Announcements on a LAN: real packets on loopback, and what hostile ones lead to."""

from __future__ import annotations

import asyncio
import os
import threading
from types import SimpleNamespace

import pytest
import zeroconf
from nacl.signing import SigningKey

from meshnode.discovery import mdns
from meshnode.discovery.announcement import NONCE_BYTES, seal_announcement
from meshnode.discovery.mdns import LanDiscovery, read_announcement, read_ip4_hosts
from meshnode.transport.peer_id import peer_id_from_public_key
from tests.support.multicast import find_obstacle

NETWORK, OTHER = bytes(32), bytes([1]) * 32
WAIT_S = 30.0


def make_key(number):
    return SigningKey(bytes([number]) * 32).verify_key.encode()


def make_peer(number):
    return peer_id_from_public_key(make_key(number))


class Lan:
    def __init__(self):
        self.members = []

    async def join(self, number, *, network=NETWORK, port=4001):
        found: dict[str, tuple[str, ...]] = {}
        member = LanDiscovery(
            network, make_peer(number), (f"/ip4/127.0.0.1/tcp/{port}",), found.__setitem__
        )
        self.members.append(member)
        await member.start()
        return member, found

    async def close(self):
        for member in self.members:
            await member.close()


@pytest.fixture
async def lan():
    if obstacle := find_obstacle():
        pytest.skip(obstacle)
    lan = Lan()
    yield lan
    await lan.close()


async def until(condition):
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - told from another thread
            await asyncio.sleep(0.02)


async def test_members_hear_of_each_other_with_address_and_port(lan):
    _, heard_by_one = await lan.join(1, port=4001)
    _, heard_by_two = await lan.join(2, port=4002)
    await until(lambda: heard_by_one and heard_by_two)
    assert heard_by_one == {make_peer(2): ("/ip4/127.0.0.1/tcp/4002",)}
    assert heard_by_two == {make_peer(1): ("/ip4/127.0.0.1/tcp/4001",)}


async def test_nodes_of_another_network_are_not_recognised(lan):
    await lan.join(1)
    _, heard_by_stranger = await lan.join(3, network=OTHER)
    _, heard_by_member = await lan.join(2)
    await until(lambda: heard_by_member)
    assert list(heard_by_member) == [make_peer(1)]
    assert not heard_by_stranger


async def test_library_works_in_threads_of_its_own(lan, monkeypatch):
    """Its start and end take seconds; none of that may be the loop's."""
    seen = {}

    def watch(name, call):
        def note(self, *args, **options):
            seen[name] = (threading.get_ident(), self.loop)
            return call(self, *args, **options)

        monkeypatch.setattr(zeroconf.Zeroconf, name, note)

    watch("register_service", zeroconf.Zeroconf.register_service)
    watch("close", zeroconf.Zeroconf.close)
    await lan.join(1)
    await lan.close()
    lan.members.clear()
    assert set(seen) == {"register_service", "close"}
    for thread, loop in seen.values():
        assert thread != threading.get_ident()
        assert loop is not asyncio.get_running_loop()


async def test_nothing_is_announced_where_no_lan_is_listened_on():
    member = LanDiscovery(NETWORK, make_peer(1), ("/ip6/::1/tcp/1",), lambda *_: None)
    await member.start()
    assert "no IPv4" in member.error
    await member.close()


async def test_lan_that_cannot_be_used_is_told_and_does_not_stop_the_node(monkeypatch):
    member = LanDiscovery(NETWORK, make_peer(1), ("/ip4/192.0.2.1/tcp/1",), lambda *_: None)

    def refuse():
        raise OSError(19, "No such device")

    monkeypatch.setattr(member, "_open", refuse)
    await member.start()
    assert member.error == "multicast cannot be used here: No such device"
    await member.close()


async def test_flood_of_names_is_looked_at_so_long_only_and_few_come_over(monkeypatch):
    found = []
    member = LanDiscovery(
        NETWORK, make_peer(1), ("/ip4/127.0.0.1/tcp/1",), lambda *args: found.append(args)
    )
    member._loop = asyncio.get_running_loop()
    member._window_s = member._loop.time()
    looked_at = sum(member._may_look() for _ in range(10 * mdns.NAMES_MAX))
    assert looked_at == mdns.NAMES_MAX
    member._window_s -= mdns.NAMES_S
    assert member._may_look()
    for number in range(10 * mdns.FOUND_AT_ONCE_MAX):
        member._hand_over(f"peer {number}", ("/a",))
    await until(lambda: member._under_way == 0)
    assert len(found) == mdns.FOUND_AT_ONCE_MAX


def announce(**changes):
    sealed = seal_announcement(NETWORK, make_key(1), os.urandom(NONCE_BYTES))
    values = {
        "port": 4001,
        "properties": {b"v": b"1", b"m": sealed},
        "parsed_addresses": lambda: ["10.0.0.7", "fe80::1"],
    }
    return SimpleNamespace(**(values | changes))


def test_announcement_of_a_member_names_it_and_its_ipv4_addresses():
    assert read_announcement(NETWORK, announce()) == (make_peer(1), ("/ip4/10.0.0.7/tcp/4001",))


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 0},
        {"properties": {}},
        {"properties": {b"v": b"2"}},
        {"properties": {b"v": b"1", b"m": None}},
        {"properties": {b"v": b"1", b"m": bytes(72)}},
        {"parsed_addresses": lambda: ["fe80::1"]},
    ],
)
def test_announcement_that_says_nothing_of_use_is_passed_over(changes):
    assert read_announcement(NETWORK, announce(**changes)) is None


def test_announced_are_the_ipv4_addresses_of_one_port():
    texts = (
        "/ip4/10.0.0.7/tcp/5/p2p/A",
        "/ip4/0.0.0.0/tcp/5",
        "/ip6/::1/tcp/5",
        "/ip4/1.2.3.4/tcp/6",
    )
    assert read_ip4_hosts(texts) == (("10.0.0.7",), 5)
