"""Hostile streams and bytes: each ends its stream or its connection, and no honest peer's."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct

import pytest
import trio
from libp2p.stream_muxer.exceptions import MuxedStreamError

from meshnode.errors import DialFailed, StreamReset
from meshnode.transport.base import Channel
from meshnode.transport.framing import FINISH_FRAME, FrameParser, data_header
from meshnode.transport.libp2p import connection
from meshnode.transport.libp2p.host import propose
from meshnode.transport.limits import TransportLimits
from tests.support.libp2p_attacker import attacker, channels, cut_off, write_until_cut_off

HEADER = struct.Struct("!BBHII")
DATA, WINDOW_UPDATE, SYN = 0, 1, 1
RANDOM = random.Random(1)

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
    "random": RANDOM.randbytes(64),
    "half a message": b"\x13/multi",
    "nothing": b"",
}


@pytest.mark.parametrize("closing", ["close", "reset", "leave open"])
async def test_d1_malformed_streams_do_not_reach_other_connections(scene, closing):
    await scene.open(TransportLimits(handshake_ms=1_500))

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


async def wait_for_ever(*_):
    await trio.sleep_forever()


async def test_d5_many_half_open_streams_share_one_buffer_limit(scene, monkeypatch):
    await scene.open(TransportLimits(muxer_buffer_bytes=500_000))

    async def attack():
        async with attacker(scene.addresses) as muxer:
            await channels(muxer)
            pieces = 0
            # Whoever is refused is forgotten at once: here every negotiation goes on for ever.
            monkeypatch.setattr(connection, "answer", wait_for_ever)
            with contextlib.suppress(Exception):
                for stream_id in range(101, 141, 2):
                    await muxer._write_frame(HEADER.pack(0, WINDOW_UPDATE, SYN, stream_id, 0))
                    piece = HEADER.pack(0, DATA, 0, stream_id, 60_000) + b"\xff" * 60_000
                    await muxer._write_frame(piece)
                    pieces += 1
            await cut_off(muxer)
            monkeypatch.undo()
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


async def test_d22_a_node_dials_only_when_told(scene):
    await scene.open()
    other = await scene.lab.start("other")
    with pytest.raises(DialFailed):
        await scene.victim.transport.dial(other.id, [])
    for _ in range(100):
        await asyncio.sleep(0)
    assert other.seen.connections == 0
    assert scene.victim.transport.counters["dials"] == 1


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


@pytest.mark.parametrize(
    "garbage", [b"\x07\x00\x00\x00", RANDOM.randbytes(3) + b"\xff" * 2_000], ids=["short", "long"]
)
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
    await scene.open(TransportLimits(handshake_ms=1_500))

    async def attack(seed):
        async with attacker(scene.addresses, f"fuzz {seed}") as muxer:
            await channels(muxer)
            bytes_of = random.Random(seed).randbytes
            piece = b"".join(bytes((seed % 3, (seed + i) % 5)) + bytes_of(10) for i in range(200))
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
