"""Addresses: which are read, which are refused and why, which others can dial."""

from __future__ import annotations

import socket
from unittest import mock

import pytest

from meshnode.errors import TransportError
from meshnode.transport.base import PeerId
from meshnode.transport.libp2p.addresses import TcpAddress, parse_address

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/ip4/127.0.0.1/tcp/0", TcpAddress("ip4", "127.0.0.1", 0)),
        ("/ip6/::1/tcp/4001", TcpAddress("ip6", "::1", 4001)),
        ("/dns4/mesh.example/tcp/4001", TcpAddress("dns4", "mesh.example", 4001)),
        (f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}", TcpAddress("ip4", "127.0.0.1", 1, PEER)),
    ],
)
def test_parse_reads_tcp_addresses(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:4001",
        "/",
        "/ip4/127.0.0.1",
        "/ip4/300.0.0.1/tcp/1",
        "/ip4/127.0.0.1/tcp/70000",
        "/ip4/127.0.0.1/udp/1/quic-v1",
        "/ip4/127.0.0.1/tcp/1/ws",
        f"/p2p/{PEER}",
        "/ip4/127.0.0.1/tcp/1/p2p/nonsense",
        "x" * 10_000,
    ],
)
def test_parse_refuses_anything_else_in_one_short_line(text):
    with pytest.raises(TransportError) as caught:
        parse_address(text)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_dialable_names_a_host_others_can_reach():
    assert parse_address("/ip4/10.0.0.1/tcp/0").dialable(7, PeerId(PEER)) == (
        f"/ip4/10.0.0.1/tcp/7/p2p/{PEER}"
    )
    anywhere = parse_address("/ip4/0.0.0.0/tcp/0").dialable(7, PeerId(PEER))
    assert not anywhere.startswith("/ip4/0.0.0.0")


def test_dialable_is_loopback_on_a_machine_without_a_network():
    class Unreachable(socket.socket):
        def connect(self, _address):
            raise OSError("network is unreachable")

    with mock.patch.object(socket, "socket", Unreachable):
        text = parse_address("/ip6/::/tcp/0").dialable(7, PeerId(PEER))
    assert text == f"/ip6/::1/tcp/7/p2p/{PEER}"
