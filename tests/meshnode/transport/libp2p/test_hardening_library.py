"""Faults of the library itself, and of its surroundings: each costs one connection at most."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from typing import Any
from unittest import mock

import pytest
import trio
import trio.testing
from libp2p.stream_muxer.yamux.yamux import Yamux

from meshnode.errors import DialFailed, TransportError
from meshnode.transport.libp2p import hardening
from meshnode.transport.libp2p.guest import TrioGuest
from meshnode.transport.libp2p.hardening import set_socket_options
from meshnode.transport.libp2p.muxer import GuardedConnection, new_muxer
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import TransportLimits


async def test_d9_the_kernel_watches_for_dead_peers():
    def options(sock):
        names = ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        values = [sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        return [sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), *values]

    async def connect():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, trio.sleep, 0)
            stream = await trio.testing.open_stream_to_socket_listener(listeners[0])
            async with stream:
                set_socket_options(stream)
                values = options(stream.socket)
            nursery.cancel_scope.cancel()
        return values

    guest = await TrioGuest.acquire()
    assert await guest.run(connect) == [1, 10, 3, 2, 10_000]
    await guest.release()


async def test_d9_options_of_another_system_are_left_out(scene):
    with mock.patch.object(socket, "TCP_USER_TIMEOUT", new=None):
        await scene.open()
    await scene.check_honest()


class SilentPeer:
    """A secured connection on which nothing is heard."""

    is_initiator = True

    def __init__(self):
        self.written = []

    async def read(self, _n):
        await trio.sleep_forever()

    async def write(self, data):
        self.written.append(data)

    async def close(self):
        pass


@pytest.mark.parametrize(("make", "pings"), [(Yamux, True), (new_muxer, False)])
def test_d9_a_quiet_connection_carries_no_pings_of_the_muxer(make, pings):
    async def listen():
        peer: Any = SilentPeer()
        guard = GuardedConnection(peer, peer, TransportLimits())
        muxer = make(guard, "peer")
        with trio.move_on_after(120):
            await muxer.start()
        return peer.written

    written = trio.run(listen, clock=trio.testing.MockClock(autojump_threshold=0))
    assert bool(written) is pings


async def test_d16_reads_do_not_count_segments():
    class OneByteAtATime:
        def __init__(self):
            self.socket = self
            self.left = 60_000

        def getpeername(self):
            return ("2001:db8::1", 4001)

        async def receive_some(self, max_bytes=None):
            self.left -= 1
            return b"x" if self.left >= 0 else b""

    async def read():
        stream: Any = OneByteAtATime()
        connection = TcpConnection(stream, is_initiator=True, counters=Counter())
        assert connection.get_remote_address() == ("2001:db8::1", 4001)
        assert connection.get_transport_addresses() == []
        assert connection.get_connection_type().name == "DIRECT"
        assert connection.remote_multiaddr == "/ip6/2001:db8::1/tcp/4001"
        assert await connection.read() == b"x"
        return len(await connection.read(59_000)), len(await connection.read(5_000))

    guest = await TrioGuest.acquire()
    assert await guest.run(read) == (59_000, 999)
    await guest.release()


async def test_a_fault_of_the_library_ends_one_connection(scene):
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    await scene.open()
    late = await scene.lab.start("late")
    with (
        mock.patch.object(Yamux, "accept_stream", side_effect=ValueError("a bug")),
        pytest.raises(DialFailed),
    ):
        await late.dial(scene.victim)
    assert reports
    await scene.check_honest()


async def test_a_muxer_that_fails_ends_one_connection(scene):
    await scene.open()
    late = await scene.lab.start("late")
    with (
        mock.patch.object(Yamux, "handle_incoming", side_effect=ValueError("a bug")),
        pytest.raises(DialFailed),
    ):
        await late.dial(scene.victim)
    await scene.check_honest()


async def test_another_release_of_the_library_is_refused():
    with (
        mock.patch.object(hardening, "version", return_value="0.9.0"),
        pytest.raises(TransportError, match=r"0\.9\.0"),
    ):
        hardening.check_library_version()
