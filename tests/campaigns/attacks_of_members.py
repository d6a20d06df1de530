"""What somebody may try who was let in: everything here comes after a handshake that holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from dag.canonical import encode
from dag.types import Ref
from dag.vertex import Envelope
from meshnode.core.answers import WINDOW_MS
from meshnode.core.messages import (
    Advert,
    Digest,
    Get,
    Heads,
    IHave,
    Items,
    ModelAdvert,
    Ping,
    Pong,
    Push,
    encode_message,
)
from meshnode.serving.protocol import (
    Ask,
    AskPart,
    Cancel,
    Done,
    Failed,
    decode_answer_frame,
    encode_frame,
)
from meshnode.transport.framing import FrameKind, FrameParser
from tests.campaigns.attack import Catalogue, Hands
from tests.campaigns.wire import CutOff, Line, frame
from tests.campaigns.world import Member
from tests.support.decoders import message_frames

MEMBERS = Catalogue()
"""Attacks that end in a ban: each costs a member."""
PESTS = Catalogue()
"""Attacks that do not, or not at once: one member can go on with them for ever."""


@asynccontextmanager
async def ready(hands: Hands, member: Member) -> AsyncIterator[Line]:
    async with hands.line() as line:
        await line.greet(member)
        yield line


async def push(hands: Hands, *wires: bytes) -> int:
    """Send vertices, and see what comes of it."""
    async with ready(hands, hands.members[0]) as line:
        with suppress(CutOff):
            await line.send(Push(wires))
        await line.wait_cut_off()
        return line.sent


@MEMBERS.add("malformed")
async def damaged_messages_of_a_member(hands: Hands) -> int:
    seeds = message_frames()
    frames = [hands.mutator.mutate(hands.random.choice(seeds)) for _ in range(hands.batch)]
    async with ready(hands, hands.members[0]) as line:
        with suppress(CutOff):
            for data in (b"\x92\x06", *frames):
                await line.write(frame(data))
        await line.wait_cut_off()
        return line.sent


@MEMBERS.add("bad_signature")
async def a_vertex_nobody_signed(hands: Hands) -> int:
    signed = hands.members[0].say(hands.world.suite, text=hands.random.randbytes(8))
    forged = Envelope(encode(signed.vertex), hands.mutator.flip(signed.signature))
    return await push(hands, encode(forged))


@MEMBERS.add("bad_vertex")
async def a_vertex_that_breaks_a_rule(hands: Hands) -> int:
    return await push(hands, hands.members[0].say(hands.world.suite, lamport=7).wire)


@MEMBERS.add("malformed")
async def a_question_that_is_noise(hands: Hands) -> int:
    async with ready(hands, hands.members[0]) as line:
        stream = await line.open_stream()
        await stream.write(frame(hands.mutator.noise(500)))
        await line.wait_cut_off()
        return line.sent


@MEMBERS.add("malformed")
async def a_question_whose_body_is_no_json(hands: Hands) -> int:
    body = hands.mutator.noise(200) + b"\xff"
    return await ask(hands, Ask(1, bytes(16), len(body), "full", 1_000, (), False), body)


@MEMBERS.add("too_large")
async def a_question_larger_than_it_said(hands: Hands) -> int:
    return await ask(hands, Ask(1, bytes(16), 2, "full", 1_000, (), False), b"{}" * 20)


async def ask(hands: Hands, question: Ask, body: bytes) -> int:
    async with ready(hands, hands.members[0]) as line:
        stream = await line.open_stream()
        await stream.write(frame(encode_frame(question)) + frame(encode_frame(AskPart(body))))
        await line.wait_cut_off()
        return line.sent


@MEMBERS.add("flood")
async def more_questions_than_anybody_has(hands: Hands) -> int:
    """As many as the credit lets pass at once: more than two of the node's windows may hold."""
    question = frame(encode_message(Get(1, (bytes(32),))))
    async with ready(hands, hands.members[0]) as line:
        started_s = trio.current_time()
        try:
            for _ in range(22):
                await line.write(question * 100, frames=100)
            await settle(line)
        except CutOff:
            return line.sent
        elapsed_ms = (trio.current_time() - started_s) * 1_000
        # Where the machine took longer than a window for them, it was not flooded.
        return line.sent if elapsed_ms <= WINDOW_MS else 0


# --- short of a ban ------------------------------------------------------------------------------


@PESTS.add("wrong_network")
async def a_vertex_of_another_network(hands: Hands) -> int:
    other = hands.members[0].say(hands.world.suite, network=hands.random.randbytes(32))
    return await push(hands, other.wire)


@PESTS.add("out_of_turn")
async def a_second_greeting(hands: Hands) -> int:
    async with ready(hands, hands.members[0]) as line:
        with suppress(CutOff):
            await line.send(line.hello(hands.members[0].author))
        await line.wait_cut_off()
        return line.sent


@PESTS.add("unasked")
async def answers_nobody_asked_for(hands: Hands) -> int:
    async with ready(hands, hands.members[0]) as line:
        await line.send(
            Items(hands.random.randint(1_000, 2**40), (), (), 0, True), Pong(7, _digest(), 1)
        )
        await settle(line)
        return line.sent


@PESTS.add("")
async def the_same_vertices_again_and_again(hands: Hands) -> int:
    """Replays change nothing: an id is stored once."""
    wires = (*hands.world.credentials, hands.members[0].profile.wire)
    async with ready(hands, hands.members[0]) as line:
        for _ in range(0, hands.batch, 8):
            await line.send(*[Push(wires)] * 8)
            await settle(line)  # within the credit, or it would end for another reason
        return line.sent


@PESTS.add("not_served")
async def announcing_what_it_does_not_have(hands: Hands) -> int:
    """Says so when asked, as who lies with care would."""
    ids = tuple(hands.random.randbytes(32) for _ in range(16))
    async with ready(hands, hands.members[0]) as line:
        await line.send(IHave(ids))
        with trio.fail_after(15):
            while not isinstance(message := await line.receive(), Get):
                pass
        await line.send(Items(message.request, (), message.ids, 0, True))
        await settle(line)
        return line.sent


@PESTS.add("")
async def lies_about_heads(hands: Hands) -> int:
    heads = tuple(
        sorted(Ref(hands.random.randint(1, 2**40), hands.random.randbytes(32)) for _ in range(8))
    )
    async with ready(hands, hands.members[0]) as line:
        await line.send(Heads(heads, _digest(), reply=True), _digest())
        await settle(line)
        return line.sent


@PESTS.add("")
async def boasting_and_chatter(hands: Hands) -> int:
    model = ModelAdvert("wisdom", "", 2**53, True, "none", "")
    async with ready(hands, hands.members[0]) as line:
        for number in range(hands.batch):
            await line.send(Advert(number, (model,) * 8, 2**53, 0, 0, draining=True), Ping(number))
        await settle(line)
        return line.sent


@PESTS.add("")
async def questions_given_up_half_way(hands: Hands) -> int:
    body = b'{"messages":[{"role":"user","content":"wait"}]}'
    async with ready(hands, hands.members[0]) as line:
        for number in range(min(hands.batch, 12)):
            stream = await line.open_stream()
            question = frame(encode_frame(Ask(1, bytes(16), len(body), "full", 5_000, (), False)))
            rest = frame(encode_frame(AskPart(body[: 5 * number] or b"{")))
            await stream.write(question + rest)
            if number % 2:
                await stream.write(frame(encode_frame(Cancel())))
            await stream.reset()
        await settle(line)
        return line.sent


SENSELESS = (
    b"{}",
    b'{"messages":7}',
    b'{"messages":[]}',
    b'{"messages":[{"role":"user","content":"x"}],"max_tokens":-1,"stop":[[]]}',
    b'{"messages":[{"role":"user","content":"x"}],"max_tokens":1e308,"temperature":"hot"}',
    b'{"messages":[{"role":"user","content":"x"}],"n":9007199254740993,"tools":[[[[]]]]}',
    b'{"messages":[{"role":"user","content":"\\u0000\\u001b[2J"}],"stream":false}',
)


@PESTS.add("")
async def questions_without_sense(hands: Hands) -> int:
    """JSON all of them; each gets an answer or a refusal, and the node keeps its composure."""
    async with ready(hands, hands.members[0]) as line:
        for body in SENSELESS:
            stream = await line.open_stream()
            question = Ask(1, hands.random.randbytes(16), len(body), "full", 20_000, (), False)
            await stream.write(frame(encode_frame(question)) + frame(encode_frame(AskPart(body))))
            await read_verdict(stream)
        await settle(line)
        return line.sent


async def read_verdict(stream: YamuxStream) -> None:
    """Until the node has answered or refused."""
    parser = FrameParser()
    with trio.fail_after(30):
        while True:
            for kind, payload in parser.feed(await stream.read(65_536)):
                if kind is FrameKind.DATA and isinstance(
                    decode_answer_frame(payload), Done | Failed
                ):
                    await stream.reset()
                    return


def _digest() -> Digest:
    return Digest(bytes(32), 2**40, 2**40)


async def settle(line: Line) -> None:
    """Until the node has dealt with everything: it answers PING in turn. Raises `CutOff`."""
    await line.send(Ping(2**50))
    line.sent -= 1
    with trio.fail_after(15):
        while True:
            message = await line.receive()
            if isinstance(message, Pong) and message.nonce == 2**50:
                return
