"""What anybody who can reach the port may try: before the handshake, within it, and around it."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

import trio

from dag.canonical import encode
from dag.vertex import Envelope, decode_signed
from meshnode.core.messages import (
    Credentials,
    Digest,
    Get,
    IHave,
    Ping,
    Proof,
    Push,
    encode_message,
)
from meshnode.joining import JoinRequest
from meshnode.serving.protocol import Ask, encode_frame
from meshnode.transport.base import Channel
from meshnode.transport.framing import FINISH_FRAME, data_header, encode_credit
from meshnode.transport.libp2p.connection import CHANNEL_PROTOCOLS
from meshnode.transport.libp2p.host import propose
from meshnode.transport.limits import TransportLimits
from tests.campaigns.attack import Catalogue, Hands
from tests.campaigns.wire import CutOff, Line, frame
from tests.support.decoders import message_frames
from tests.support.libp2p_attacker import attacker, cut_off, tcp, write_until_cut_off

STRANGERS = Catalogue()
CROWDS = Catalogue()
"""Attacks that need the node for themselves."""
MULTISTREAM = b"\x13/multistream/1.0.0\n"
NOISE = b"\x07/noise\n"
IDLE = 100
CROWD = 70
"""More than the places a node has for connections."""


# --- below the handshake of libp2p ---------------------------------------------------------------


async def knock(hands: Hands, *pieces: bytes) -> int:
    """Say something on a bare connection, and see it end."""
    stream = await tcp(hands.world.addresses, hands.source)
    try:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            for piece in pieces:
                await stream.send_all(piece)
            with trio.fail_after(15):
                while await stream.receive_some(65_536):
                    pass
    finally:
        await trio.aclose_forcefully(stream)
    return 1


@STRANGERS.add("handshakes_failed")
async def noise_on_the_port(hands: Hands) -> int:
    return await knock(hands, hands.mutator.noise(2_000))


@STRANGERS.add("handshakes_failed")
async def half_a_negotiation(hands: Hands) -> int:
    whole = MULTISTREAM + NOISE
    return await knock(hands, hands.mutator.mutate(whole), hands.mutator.noise(64))


@STRANGERS.add("handshakes_failed")
async def half_a_handshake(hands: Hands) -> int:
    return await knock(
        hands, MULTISTREAM + NOISE, b"\x00\x20" + hands.random.randbytes(32), b"\xff" * 4
    )


@STRANGERS.add("handshakes_refused")
async def many_who_say_nothing(hands: Hands) -> int:
    streams = [await tcp(hands.world.addresses, hands.source) for _ in range(IDLE)]
    for stream in streams:
        await trio.aclose_forcefully(stream)
    return len(streams)


@STRANGERS.add("handshakes_failed")
async def noise_below_the_streams(hands: Hands) -> int:
    async with attacker(
        hands.world.addresses, f"yamux {hands.seed}/{hands.number}", hands.source
    ) as muxer:
        await write_until_cut_off(muxer, 64, b"\xff" * 12 + hands.mutator.noise(500))
    return 1


# --- streams of a connection that stands ---------------------------------------------------------


@STRANGERS.add("streams_refused")
async def noise_instead_of_a_protocol(hands: Hands) -> int:
    async with hands.line() as line:
        for _ in range(min(hands.batch, 32)):
            stream = await line.muxer.open_stream()
            await stream.write(b"\x02\xff\n" + hands.mutator.noise(100))
            with suppress(Exception), trio.move_on_after(5):
                while await stream.read(4_096):
                    pass
    return min(hands.batch, 32)


@STRANGERS.add("flood")
async def more_streams_than_anybody_needs(hands: Hands) -> int:
    """Opened below the library, which waits for the other side after 256 of them."""
    async with hands.line() as line:
        first = (await line.muxer.open_stream()).stream_id + 2
        numbers = range(first, first + 2 * (TransportLimits().muxer_streams + 100), 2)
        line.sent += await write_all(line, [open_header(number) for number in numbers])
        await cut_off(line.muxer)
        return line.sent


@STRANGERS.add("")
async def more_bytes_than_the_window(hands: Hands) -> int:
    """Poured into a stream that was never negotiated: it is reset, and the rest leads nowhere."""
    async with hands.line() as line:
        stream = await line.muxer.open_stream()
        piece = line_header(stream.stream_id, 60_000) + bytes(60_000)
        return await write_all(line, [piece] * 40)


async def write_all(line: Line, pieces: list[bytes]) -> int:
    """Write below the streams, until everything is out or the node has had enough."""
    for count, piece in enumerate(pieces):
        try:
            with trio.fail_after(15):
                await line.muxer._write_frame(piece)
        except Exception:
            return count
    return len(pieces)


def open_header(stream_id: int) -> bytes:
    """A Yamux header that opens a stream."""
    return b"\x00\x01\x00\x01" + stream_id.to_bytes(4, "big") + bytes(4)


def line_header(stream_id: int, size: int) -> bytes:
    """A Yamux header of data, which asks no window."""
    return b"\x00\x00\x00\x00" + stream_id.to_bytes(4, "big") + size.to_bytes(4, "big")


@STRANGERS.add("bad_stream")
async def a_second_control_channel(hands: Hands) -> int:
    async with hands.line() as line:
        protocol = next(
            name for name, channel in CHANNEL_PROTOCOLS.items() if channel is Channel.CONTROL
        )
        with suppress(Exception):
            await propose(await line.muxer.open_stream(), protocol, 3_000)
        await cut_off(line.muxer)
    return 1


@STRANGERS.add("malformed")
async def noise_on_a_stream(hands: Hands) -> int:
    """Neither a question nor a joiner's request."""
    async with hands.line() as line:
        stream = await line.open_stream()
        await stream.write(frame(hands.mutator.noise(300)))
        await line.wait_cut_off()
        return line.sent


@STRANGERS.add("bad_signature")
async def joining_without_the_ticket(hands: Hands) -> int:
    request = JoinRequest(1, hands.world.network, bytes(32), bytes(32), bytes(64))
    async with hands.line() as line:
        stream = await line.open_stream()
        await stream.write(frame(encode(request)))
        await line.wait_cut_off()
        return line.sent


@STRANGERS.add("")
async def asking_as_nobody(hands: Hands) -> int:
    """Learns nothing, not even why."""
    async with hands.line() as line:
        stream = await line.open_stream()
        with suppress(Exception):
            await stream.write(frame(encode_frame(Ask(1, bytes(16), 2, "full", 1_000, (), False))))
            with trio.fail_after(15):
                assert not await stream.read(4_096)
        return line.sent


# --- frames --------------------------------------------------------------------------------------


async def pour(
    hands: Hands, line: Line, frames: list[bytes], channel: Channel = Channel.CONTROL
) -> int:
    """Send frames until the node has had enough."""
    size = 20
    with suppress(CutOff, trio.TooSlowError):
        for start in range(0, len(frames), size):
            part = frames[start : start + size]
            await line.write(b"".join(part), channel, frames=len(part))
    await line.wait_cut_off()
    return line.sent


@STRANGERS.add("malformed")
async def noise_in_frames(hands: Hands) -> int:
    async with hands.line() as line:
        frames = [frame(hands.mutator.noise(200)) for _ in range(hands.batch)]
        return await pour(hands, line, [frame(b"\xff"), *frames])


@STRANGERS.add("malformed")
async def damaged_messages(hands: Hands) -> int:
    seeds = message_frames()
    frames = [frame(hands.mutator.mutate(hands.random.choice(seeds))) for _ in range(hands.batch)]
    async with hands.line() as line:
        return await pour(hands, line, [frame(b"\x92\x06"), *frames])


@STRANGERS.add("malformed")
async def noise_on_the_bulk_channel(hands: Hands) -> int:
    async with hands.line() as line:
        frames = [frame(hands.mutator.noise(200)) for _ in range(hands.batch)]
        await line.write(b"".join(frames), Channel.BULK, frames=len(frames))
        await line.wait_cut_off()
        return line.sent


@STRANGERS.add("unasked")
async def anything_on_the_rpc_channel(hands: Hands) -> int:
    async with hands.line() as line:
        with suppress(CutOff):
            for _ in range(hands.batch):
                await line.write(frame(hands.mutator.noise(64)), Channel.RPC)
                await trio.sleep(0.002)  # each delivery counts once, so let them be several
        return line.sent


@STRANGERS.add("too_large")
async def a_frame_that_announces_too_much(hands: Hands) -> int:
    size = hands.random.randint(60_001, 2**24 - 1)
    async with hands.line() as line:
        return await pour(hands, line, [size.to_bytes(4, "big") + bytes(100)])


@STRANGERS.add("malformed")
async def a_frame_of_no_known_kind(hands: Hands) -> int:
    async with hands.line() as line:
        return await pour(hands, line, [bytes((hands.random.randint(3, 255), 0, 0, 1, 0))])


@STRANGERS.add("malformed")
async def credit_nobody_owes(hands: Hands) -> int:
    async with hands.line() as line:
        return await pour(hands, line, [encode_credit(hands.random.randint(300_000, 2**32 - 1))])


@STRANGERS.add("malformed")
async def data_after_the_end(hands: Hands) -> int:
    async with hands.line() as line:
        return await pour(hands, line, [FINISH_FRAME + frame(b"x")])


@STRANGERS.add("malformed")
async def data_beyond_the_credit(hands: Hands) -> int:
    """The node reads no faster than it deals with frames; who sends on regardless is cut off."""
    empty = data_header(b"") * 6_000
    async with hands.line() as line:
        return await pour(hands, line, [empty])


# --- messages out of place ------------------------------------------------------------------------


@STRANGERS.add("out_of_turn")
async def gossip_before_the_greeting(hands: Hands) -> int:
    message = hands.random.choice(
        (
            Ping(1),
            IHave((bytes(32),)),
            Get(1, (bytes(32),)),
            Push(()),
            Digest(bytes(32), 1, 1),
        )
    )
    async with hands.line() as line:
        return await pour(hands, line, [frame(encode_message(message))] * hands.batch)


@STRANGERS.add("silent")
async def a_greeting_and_nothing_more(hands: Hands) -> int:
    async with hands.line() as line:
        return await pour(hands, line, [frame(encode_message(line.hello(bytes(32))))])


@STRANGERS.add("wrong_network")
async def another_networks_greeting(hands: Hands) -> int:
    async with hands.line() as line:
        hello = line.hello(bytes(32), network=hands.random.randbytes(32))
        return await pour(hands, line, [frame(encode_message(hello))] * hands.batch)


@STRANGERS.add("not_a_member")
async def a_stranger_who_calls_itself_somebody(hands: Hands) -> int:
    async with hands.line() as line:
        messages = (line.hello(hands.random.randbytes(32)), Proof(bytes(64)))
        return await pour(hands, line, [frame(encode_message(message)) for message in messages])


@STRANGERS.add("bad_proof")
async def a_member_played_by_somebody_else(hands: Hands) -> int:
    victim = hands.members[0]
    async with hands.line() as line:
        with suppress(CutOff):
            await line.await_hello()
            await line.send(
                line.hello(victim.author),
                Credentials((*hands.world.credentials, victim.profile.wire)),
                Proof(hands.random.randbytes(3_373)),
            )
        await line.wait_cut_off()
        return line.sent


@STRANGERS.add("bad_proof")
async def a_proof_of_another_connection(hands: Hands) -> int:
    """Everything holds, but for the nonce it was made for."""
    async with hands.line() as line:
        hello = await line.await_hello()
        member = hands.members[0]
        old = type(hello)(1, hello.network, hello.author, bytes(32), "", ())
        await line.send(
            line.hello(member.author),
            Credentials((*hands.world.credentials, member.profile.wire)),
            line.prove(member, old),
        )
        await line.wait_cut_off()
        return line.sent


@CROWDS.add("silent")
async def a_crowd_at_the_door(hands: Hands) -> int:
    """Takes every place and says nothing; a member must get in all the same."""
    async with AsyncExitStack() as crowd:
        for number in range(CROWD):
            await crowd.enter_async_context(
                hands.line(f"crowd {hands.seed}/{hands.number}/{number}")
            )
        async with hands.line() as line:
            await line.greet(hands.members[0])
        await trio.sleep(3.5)  # whoever is left has missed its deadline
    return CROWD


# --- credentials ---------------------------------------------------------------------------------


async def present(hands: Hands, *wires: bytes) -> int:
    """Bring these credentials along."""
    async with hands.line() as line:
        with suppress(CutOff):
            await line.await_hello()
            await line.send(line.hello(hands.members[0].author), Credentials(wires))
        await line.wait_cut_off()
        return line.sent


@STRANGERS.add("bad_signature")
async def credentials_nobody_signed(hands: Hands) -> int:
    profile = hands.world.make_member(hands.random.randbytes(32)).profile
    signature = hands.mutator.flip(profile.signature)
    forged = decode_signed(profile.wire)
    return await present(hands, encode(Envelope(encode(forged.vertex), signature)))


@STRANGERS.add("wrong_network")
async def credentials_of_another_network(hands: Hands) -> int:
    other = hands.members[0].say(hands.world.suite, network=hands.random.randbytes(32))
    return await present(hands, other.wire)


@STRANGERS.add("bad_vertex")
async def credentials_that_break_a_rule(hands: Hands) -> int:
    bad = hands.members[0].say(hands.world.suite, lamport=99)
    return await present(hands, bad.wire)


@STRANGERS.add("malformed")
async def damaged_credentials(hands: Hands) -> int:
    return await present(hands, hands.mutator.truncate(hands.members[0].profile.wire))


@STRANGERS.add("out_of_turn")
async def notes_instead_of_credentials(hands: Hands) -> int:
    return await present(hands, hands.members[0].say(hands.world.suite).wire)
