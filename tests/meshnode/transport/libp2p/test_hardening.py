"""For each known defect of the library: the adapter stands, and honest peers notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import Counter
from typing import Any
from unittest import mock

import pytest
import pytest_asyncio
import trio
import trio.testing
from libp2p.crypto.rsa import create_new_key_pair as create_rsa_key_pair
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import Yamux

from meshnode.errors import DialFailed, StreamReset, TransportError
from meshnode.transport.base import Channel
from meshnode.transport.framing import FINISH_FRAME, FrameParser, data_header
from meshnode.transport.libp2p import hardening
from meshnode.transport.libp2p.guest import TrioGuest
from meshnode.transport.libp2p.hardening import HandshakeGate, set_socket_options
from meshnode.transport.libp2p.host import Identity, NegotiationFailed, answer, propose
from meshnode.transport.libp2p.tcp import TcpConnection
from meshnode.transport.limits import TransportLimits
from tests.support.libp2p_attacker import (
    attacker,
    channels,
    cut_off,
    tcp,
    write_until_cut_off,
)
from tests.support.transports import DEADLINE_S, Lab, connected, seed_of

HEADER = struct.Struct("!BBHII")
DATA, WINDOW_UPDATE, SYN = 0, 1, 1


class Scene:
    """A victim with an honest peer, and trio for an attacker."""

    def __init__(self, lab, guest):
        self.lab = lab
        self.guest = guest

    async def open(self, limits=None):
        self.victim = await self.lab.start("victim", limits)
        self.honest = await self.lab.start("honest")
        await self.honest.dial(self.victim)
        await connected(self.honest, self.victim)
        self.addresses = self.victim.transport.addresses

    async def attack(self, function, *args):
        return await asyncio.wait_for(self.guest.run(function, *args), 2 * DEADLINE_S)

    async def check_honest(self):
        """The honest peer is still connected, was never disconnected and is served."""
        before = len(self.victim.seen.frames)
        assert self.honest.send(self.victim, Channel.CONTROL, b"still here")
        mine = (self.honest.id, Channel.CONTROL, b"still here")
        await self.victim.seen.until(lambda: mine in self.victim.seen.frames[before:])
        assert self.honest.seen.count("disconnected") == 0

    def offences(self):
        return [offence for _, offence, _ in self.victim.seen.offences]


@pytest_asyncio.fixture
async def scene():
    lab = Lab("libp2p")
    guest = await TrioGuest.acquire()
    yield Scene(lab, guest)
    await lab.close()
    await guest.release()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


MALFORMED_HEADERS = {
    "not utf-8": b"\x05\xff\xfe\xfd\xfc\n",
    "not utf-8 after a handshake": b"\x13/multistream/1.0.0\n\x04\xff\xfe\xfd\n",
    "endless varint": b"\xff" * 20,
    "huge length": b"\xff\xff\xff\xff\x0f" + bytes(100),
    "empty": b"\x00",
    "no newline": b"\x03abc",
    "wrong version": b"\x13/multistream/9.9.9\n",
    "unknown protocol": b"\x13/multistream/1.0.0\n\x09/unknown\n",
    "list": b"\x13/multistream/1.0.0\n\x03ls\n",
    "nul": b"\x02\x00\n",
    "random": os.urandom(64),
    "half a message": b"\x13/multi",
    "nothing": b"",
}


@pytest.mark.parametrize("closing", ["close", "reset", "leave open"])
async def test_d1_malformed_streams_do_not_reach_other_connections(scene, closing):
    await scene.open(TransportLimits(handshake_ms=300))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            for header in MALFORMED_HEADERS.values():
                stream = await muxer.open_stream()
                await stream.write(header)
                if closing != "leave open":
                    await getattr(stream, closing)()

    await scene.attack(attack)
    await scene.check_honest()


async def test_d1_a_malformed_stream_is_counted_as_refused(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            stream = await muxer.open_stream()
            await stream.write(b"\x02\xff\n")
            with contextlib.suppress(MuxedStreamError):
                while await stream.read(100):
                    pass

    await scene.attack(attack)
    assert scene.victim.transport.counters["streams_refused"] == 1


async def test_d2_a_failing_stream_handler_resets_its_stream_only(scene):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    await scene.open()
    stream = await scene.honest.transport.open_stream(scene.victim.id)  # serving asserts: a bug
    with pytest.raises(StreamReset):
        await stream.receive()
    await scene.check_honest()


async def test_d3_inbound_slots_are_given_back(scene):
    await scene.open(TransportLimits(connections=4))

    async def visit(name):
        async with attacker(scene.addresses, name) as muxer:
            await channels(muxer)

    for index in range(12):
        await scene.attack(visit, f"guest {index}")
        await scene.victim.seen.until(
            lambda index=index: scene.victim.seen.count("disconnected") > index
        )
    assert scene.victim.transport.counters["handshakes_refused"] == 0
    await scene.check_honest()


async def test_d3_connections_beyond_the_limit_are_refused(scene):
    await scene.open(TransportLimits(connections=1))
    late = await scene.lab.start("late")
    with pytest.raises(DialFailed):
        await late.dial(scene.victim)
    assert scene.victim.transport.counters["handshakes_refused"] == 1
    with pytest.raises(DialFailed, match="no more are allowed"):
        await scene.victim.dial(late)
    await scene.check_honest()


@pytest.mark.parametrize("protocol", ["/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0"])
async def test_d4_only_noise_is_spoken(scene, protocol):
    await scene.open()

    async def attack():
        stream = await tcp(scene.addresses)
        async with stream:
            await propose(
                TcpConnection(stream, is_initiator=True, counters=Counter()), protocol, 1_000
            )

    with pytest.raises(Exception, match="not supported"):
        await scene.attack(attack)
    await scene.check_honest()


async def test_d4_a_peer_with_another_key_is_refused(scene):
    await scene.open()
    other = await scene.lab.start("other")
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed, match=r"handshake failed|was expected"):
        await scene.honest.transport.dial(other.id, [bare])
    with pytest.raises(DialFailed, match="belongs to another peer"):
        await scene.honest.transport.dial(other.id, scene.addresses)
    await scene.check_honest()


async def test_d4_only_ed25519_keys_are_peers(scene):
    await scene.open()
    rsa = ID.from_pubkey(create_rsa_key_pair().public_key).to_base58()
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed):
        await scene.honest.transport.dial(rsa, [bare])
    await scene.check_honest()


async def test_d5_a_flood_into_a_channel_ends_at_the_credit(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            streams = await channels(muxer)
            frame = data_header(bytes(60_000)) + bytes(60_000)
            header = HEADER.pack(0, DATA, 0, streams[Channel.CONTROL].stream_id, len(frame))
            return await write_until_cut_off(muxer, 3_000, header + frame)

    scene.victim.seen.gate.clear()  # what it delivers is not consumed, and so nothing is granted
    assert await scene.attack(attack) < 3_000
    scene.victim.seen.gate.set()
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() in (["malformed"], ["flood"])  # whichever limit is met first
    assert len(scene.victim.seen.frames) <= 5
    await scene.check_honest()


async def test_d5_a_flood_into_an_unread_stream_ends_at_the_buffer_limit(scene):
    limit = 1_000_000
    await scene.open(TransportLimits(muxer_buffer_bytes=limit))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            stream = await muxer.open_stream()
            # A promise of a long message keeps the negotiation from reading on.
            await stream.write(b"\x80\x08")
            piece = HEADER.pack(0, DATA, 0, stream.stream_id, 60_000) + bytes(60_000)
            return await write_until_cut_off(muxer, 3_000, piece)

    assert await scene.attack(attack) < 3_000
    await scene.check_honest()


async def test_d5_many_half_open_streams_share_one_buffer_limit(scene):
    await scene.open(TransportLimits(muxer_buffer_bytes=500_000))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            pieces = 0
            with contextlib.suppress(Exception):
                for stream_id in range(101, 141, 2):
                    await muxer._write_frame(HEADER.pack(0, WINDOW_UPDATE, SYN, stream_id, 0))
                    piece = HEADER.pack(0, DATA, 0, stream_id, 60_000) + b"\xff" * 60_000
                    await muxer._write_frame(piece)
                    pieces += 1
            await cut_off(muxer)
            return pieces

    await scene.attack(attack)
    await scene.check_honest()


async def test_d6_a_flood_of_streams_ends_the_connection(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            for stream_id in range(101, 2_101, 2):
                try:
                    await muxer._write_frame(HEADER.pack(0, WINDOW_UPDATE, SYN, stream_id, 0))
                except Exception:
                    break
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() == ["flood"]
    await scene.check_honest()


async def test_d6_a_stream_id_of_the_wrong_side_ends_the_connection(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            await muxer._write_frame(HEADER.pack(0, WINDOW_UPDATE, SYN, 8, 0))
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() == ["bad_stream"]


async def test_d7_a_peer_that_does_not_read_gets_whole_messages_and_then_waits(scene):
    await scene.open()
    frames = [index.to_bytes(4, "big") + bytes(4_996) for index in range(150)]

    async def attack():
        async with attacker(scene.addresses) as muxer:
            bulk = (await channels(muxer))[Channel.BULK]
            buffer = muxer.stream_buffers[bulk.stream_id]
            # The victim's window is 256 KiB, its credit 1 MiB: the window stops it first.
            with trio.fail_after(10):
                while len(buffer) + 61_440 <= 256 * 1024:  # noqa: ASYNC110 - no event tells
                    await trio.sleep(0.01)
            parser = FrameParser()
            parser.feed(bytes(buffer))
            assert parser.pending_bytes == 0
            parser = FrameParser()
            received: list[bytes] = []
            while len(received) < len(frames):
                received += [payload for _, payload in parser.feed(await bulk.read(65_536))]
            return received

    attacking = asyncio.create_task(scene.attack(attack))
    await scene.victim.seen.until(lambda: scene.victim.seen.connections == 2)
    peer = scene.victim.seen.events[-1][1]
    assert scene.victim.transport.send(peer, Channel.BULK, frames)
    assert await attacking == frames


async def test_d8_cancelled_sends_leave_the_connection_whole(scene):
    await scene.open()

    async def drain(stream):
        while await stream.receive() is not None:
            pass

    scene.victim.seen.serving = drain

    async def flood():
        stream = await scene.honest.transport.open_stream(scene.victim.id)
        try:
            while True:
                await stream.send(bytes(50_000))
        finally:
            stream.reset()

    for turns in range(60):
        task = asyncio.create_task(flood())
        for _ in range(turns * 3):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, StreamReset):
            await task
    await scene.check_honest()


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
    assert await guest.run(connect) == [1, 5, 3, 2, 10_000]
    await guest.release()


async def test_d9_options_of_another_system_are_left_out(scene):
    with mock.patch.object(socket, "TCP_USER_TIMEOUT", new=None):
        await scene.open()
    await scene.check_honest()


async def test_d10_idle_strangers_of_one_address_do_not_keep_others_out(scene):
    await scene.open()
    late = await scene.lab.start("late")

    async def attack():
        streams = [await tcp(scene.addresses, "127.0.0.2") for _ in range(100)]
        with trio.fail_after(10):
            while scene.victim.transport.counters["handshakes_refused"] < 84:  # noqa: ASYNC110
                await trio.sleep(0.01)
        for stream in streams:
            await trio.aclose_forcefully(stream)

    attacking = asyncio.create_task(scene.attack(attack))
    await asyncio.wait_for(late.dial(scene.victim), 1)
    await attacking
    await scene.check_honest()


def test_d10_the_gate_bounds_each_address_and_all_together():
    gate = HandshakeGate(TransportLimits(handshakes=3, handshakes_per_ip=2))
    first, second = gate.enter("192.0.2.1"), gate.enter("192.0.2.1")
    assert first is not None and second is not None
    assert gate.enter("192.0.2.1") is None
    assert gate.enter("192.0.2.2") is not None
    assert gate.enter("192.0.2.3") is None
    first.leave()
    first.leave()
    assert gate.in_progress == 2
    assert gate.enter("192.0.2.1") is not None


async def test_d10_a_stranger_that_says_nothing_is_dropped(scene):
    await scene.open(TransportLimits(handshake_ms=100))

    async def attack():
        stream = await tcp(scene.addresses)
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
        await stream.aclose()

    await scene.attack(attack)
    assert scene.victim.transport.counters["handshakes_failed"] == 1


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", bytes(200), os.urandom(500)])
async def test_d10_a_stranger_that_speaks_anything_else_is_dropped(scene, noise):
    await scene.open(TransportLimits(handshake_ms=300))

    async def attack():
        stream = await tcp(scene.addresses)
        await stream.send_all(noise)
        with contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        await stream.aclose()

    await scene.attack(attack)
    await scene.check_honest()


async def test_d11_the_smaller_id_keeps_its_dial(scene):
    for round_ in range(8):
        one = await scene.lab.start(f"one {round_}")
        other = await scene.lab.start(f"other {round_}")
        await asyncio.gather(one.dial(other), other.dial(one))
        await connected(one, other)
        smaller, larger = sorted((one, other), key=lambda peer: peer.id)
        assert [event for event, _ in smaller.seen.events] == ["outbound"]
        assert [event for event, _ in larger.seen.events] == ["inbound"]


async def test_d12_closing_leaves_nothing_behind(scene):
    async def tasks():
        return trio.lowlevel.current_statistics().tasks_living

    before = await scene.guest.run(tasks)
    for round_ in range(5):
        one, other = await scene.lab.start(f"one {round_}"), await scene.lab.start(f"x {round_}")
        await one.dial(other)
        await one.transport.close()
        await other.transport.close()
    assert await scene.guest.run(tasks) == before


async def test_d13_a_peer_is_reached_again_at_once_after_failures(scene):
    await scene.open()
    other = scene.lab.make("other")
    for _ in range(3):
        with pytest.raises(DialFailed):
            await scene.honest.transport.dial(other.peer_id, ["/ip4/127.0.0.1/tcp/1"])
    started = await scene.lab.start("other")
    await asyncio.wait_for(scene.honest.dial(started), 1)


async def test_d14_a_dial_ends_at_its_deadline(scene):
    one = await scene.lab.start("one", TransportLimits(dial_ms=200))
    other = scene.lab.make("other")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}"
        with pytest.raises(DialFailed, match="no answer within 200 ms"):
            await asyncio.wait_for(one.transport.dial(other.peer_id, [address]), DEADLINE_S)


async def test_d14_a_silent_address_does_not_hold_up_the_next(scene):
    await scene.open()
    late = await scene.lab.start("late")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}"
        dial = late.transport.dial(scene.victim.id, [address, *scene.addresses])
        await asyncio.wait_for(dial, 2)


async def test_d15_a_port_is_not_shared(scene):
    await scene.open()
    from meshnode.transport.libp2p.transport import Libp2pTransport

    taken = scene.addresses[0].split("/p2p/")[0]
    twin = Libp2pTransport(bytes(32), listen=["/ip4/127.0.0.1/tcp/0", taken])
    with pytest.raises(TransportError, match="Address already in use"):
        await twin.start(scene.victim.seen)
    await scene.check_honest()


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


async def test_d18_relayed_addresses_are_refused_with_the_reason(scene):
    await scene.open()
    other = scene.lab.make("other")
    address = f"{scene.addresses[0]}/p2p-circuit/p2p/{other.peer_id}"
    with pytest.raises(DialFailed, match="relayed"):
        await scene.honest.transport.dial(other.peer_id, [address])


async def test_d22_a_node_dials_only_when_told(scene):
    await scene.open()
    other = await scene.lab.start("other")
    with pytest.raises(DialFailed):
        await scene.victim.transport.dial(other.id, [])
    for _ in range(100):
        await asyncio.sleep(0)
    assert other.seen.connections == 0
    assert scene.victim.transport.counters["dials"] == 1


# What no note lists, but any peer can try.


async def test_a_channel_opened_twice_ends_the_connection(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            stream = await muxer.open_stream()
            await propose(stream, "/meshnode/1/control", 1_000)
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() == ["bad_stream"]
    await scene.check_honest()


async def test_a_channel_opened_twice_before_all_stand_is_a_failed_handshake(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            for _ in range(2):
                stream = await muxer.open_stream()
                await propose(stream, "/meshnode/1/control", 1_000)
            await cut_off(muxer)

    await scene.attack(attack)
    await failed_handshakes(scene, 1)
    assert scene.victim.seen.connections == 1


async def failed_handshakes(scene, count):
    async with asyncio.timeout(DEADLINE_S):
        while scene.victim.transport.counters["handshakes_failed"] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_peer_that_brings_up_no_channels_is_dropped(scene):
    await scene.open(TransportLimits(handshake_ms=300))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await cut_off(muxer)

    await scene.attack(attack)
    await failed_handshakes(scene, 1)


async def test_a_stream_before_the_channels_stand_is_reset(scene):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            stream = await muxer.open_stream()
            await propose(stream, "/meshnode/1/stream", 1_000)
            with trio.fail_after(5):
                await stream.read(1)

    with pytest.raises(Exception, match=r"."):
        await scene.attack(attack)
    await scene.check_honest()


@pytest.mark.parametrize("garbage", [b"\x07\x00\x00\x00", os.urandom(3) + b"\xff" * 2_000])
async def test_garbage_on_a_channel_ends_the_connection(scene, garbage):
    await scene.open()

    async def attack():
        async with attacker(scene.addresses) as muxer:
            streams = await channels(muxer)
            await streams[Channel.RPC].write(b"\xff" + garbage)
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() == ["malformed"]
    await scene.check_honest()


async def test_garbage_on_a_stream_ends_the_connection(scene):
    await scene.open()

    async def wait(stream):
        await stream.receive()

    scene.victim.seen.serving = wait

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            stream = await muxer.open_stream()
            await propose(stream, "/meshnode/1/stream", 1_000)
            await stream.write(b"\xff" * 10)
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: bool(scene.offences()))
    assert scene.offences() == ["malformed"]


async def test_random_muxer_bytes_end_the_connection_only(scene):
    await scene.open(TransportLimits(handshake_ms=300))

    async def attack(seed):
        async with attacker(scene.addresses, f"fuzz {seed}") as muxer:
            await channels(muxer)
            piece = b"".join(bytes((seed % 3, (seed + i) % 5)) + os.urandom(10) for i in range(200))
            with contextlib.suppress(Exception):
                await muxer._write_frame(piece)

    for seed in range(10):
        await scene.attack(attack, seed)
    await scene.check_honest()


async def test_a_finish_on_one_channel_hangs_up(scene):
    await scene.open(TransportLimits(hang_up_grace_ms=50))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            streams = await channels(muxer)
            await streams[Channel.CONTROL].write(data_header(b"last words") + b"last words")
            await streams[Channel.CONTROL].write(FINISH_FRAME)
            await cut_off(muxer)

    await scene.attack(attack)
    await scene.victim.seen.until(lambda: scene.victim.seen.count("disconnected") == 1)
    assert b"last words" in scene.victim.seen.payloads(Channel.CONTROL)
    assert "the peer hung up" in scene.victim.seen.reasons.values()


async def ask_and_be_reset(scene):
    stream = await scene.honest.transport.open_stream(scene.victim.id)
    await stream.send(bytes(20_000))
    await stream.receive()


async def test_streams_opened_and_reset_leave_room_for_more(scene):
    await scene.open()

    async def leave(_stream):
        return

    scene.victim.seen.serving = leave
    for _ in range(150):
        with pytest.raises(StreamReset):
            await ask_and_be_reset(scene)
    await scene.check_honest()


async def test_streams_beyond_the_muxers_places_are_refused_here(scene):
    await scene.open()
    few = await scene.lab.start("few", TransportLimits(muxer_streams=4))
    await few.dial(scene.victim)
    scene.victim.seen.serving = hold
    stream = await few.transport.open_stream(scene.victim.id)
    with pytest.raises(StreamReset, match="4 streams"):
        await few.transport.open_stream(scene.victim.id)
    stream.reset()


async def hold(stream):
    await stream.receive()


async def test_an_acceptor_that_speaks_other_protocols_is_not_connected(scene):
    await scene.open()

    async def listen(task_status):
        async def serve(stream):
            tcp_connection = TcpConnection(stream, is_initiator=False, counters=Counter())
            identity = Identity(seed_of("odd"))
            _, guard = await identity.secure(tcp_connection, None, TransportLimits())
            assert guard.muxer is not None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guard.muxer.start)
                with contextlib.suppress(Exception):
                    while True:
                        stream = await guard.muxer.accept_stream()
                        await answer(stream, ["/something/else"], 1_000)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, serve, 0)
            task_status.set_result(listeners[0].socket.getsockname()[1])
            await stop.wait()
            nursery.cancel_scope.cancel()

    stop = trio.Event()
    port = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(scene.attack(listen, port))
    odd = Identity(seed_of("odd")).peer_id
    address = f"/ip4/127.0.0.1/tcp/{await port}"
    with pytest.raises(DialFailed, match="does not speak"):
        await scene.honest.transport.dial(odd, [address])
    stop.set()
    await listening
    await scene.check_honest()


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


async def test_a_node_does_not_dial_itself_by_another_name(scene):
    await scene.open()
    bare = scene.addresses[0].split("/p2p/")[0]
    with pytest.raises(DialFailed, match="itself"):
        await scene.victim.transport.dial(scene.victim.id, [bare])


def test_negotiation_failures_are_transport_errors():
    assert issubclass(NegotiationFailed, TransportError)
