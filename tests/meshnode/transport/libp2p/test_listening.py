"""Listening ports: exclusive when they are taken, and dialled from once that is allowed."""

from __future__ import annotations

import pytest
import trio

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.addresses import parse_address
from meshnode.transport.libp2p.listening import ListenPorts

PEER = PeerId("peer")


def run(function):
    async def bounded():
        with trio.fail_after(20):
            await function()

    trio.run(bounded)


async def open_ports(*texts):
    ports = ListenPorts([parse_address(text) for text in texts or ["/ip4/127.0.0.1/tcp/0"]])
    await ports.open(PEER)
    return ports


def test_dialling_leaves_from_the_port_that_is_listened_on():
    async def scenario():
        near, far = await open_ports(), await open_ports()
        near.share()
        port = far.find_port(trio.socket.AF_INET)
        stream = await near.connect("127.0.0.1", port)
        assert stream.socket.getsockname()[1] == near.find_port(trio.socket.AF_INET)
        with pytest.raises(OSError, match="assign"):  # there is one to that very address
            await near.connect("127.0.0.1", port)
        await stream.aclose()
        await near.close()
        await far.close()

    run(scenario)


def test_nothing_is_dialled_from_a_port_before_it_is_shared():
    async def scenario():
        ports = await open_ports()
        with pytest.raises(OSError, match="no port"):
            await ports.connect("127.0.0.1", 1)
        await ports.close()

    run(scenario)


def test_addresses_of_a_family_that_nothing_listens_on_are_not_dialled():
    async def scenario():
        ports = await open_ports()
        ports.share()
        assert ports.find_port(trio.socket.AF_INET6) is None
        with pytest.raises(OSError, match="no port"):
            await ports.connect("::1", 1)
        await ports.close()

    run(scenario)


def test_system_that_cannot_share_ports_dials_from_none(monkeypatch):
    monkeypatch.setattr("meshnode.transport.libp2p.listening._SHARE_OPTION", None)

    async def scenario():
        ports = await open_ports()
        ports.share()
        with pytest.raises(OSError, match="no port"):
            await ports.connect("127.0.0.1", 1)
        await ports.close()

    run(scenario)


def test_port_in_use_is_said_and_nothing_is_left_open():
    async def scenario():
        taken = await open_ports()
        taken.share()
        port = taken.find_port(trio.socket.AF_INET)
        with pytest.raises(TransportError, match=f"port {port}"):
            await open_ports("/ip4/127.0.0.1/tcp/0", f"/ip4/127.0.0.1/tcp/{port}")
        await taken.close()

    run(scenario)
