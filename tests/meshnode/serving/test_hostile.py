"""Hostile ends of answer streams: each costs one stream, never the node."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from dag.types import Kind
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    MalformedMessage,
    MessageTooLarge,
    StreamReset,
)
from meshnode.serving import protocol, server
from meshnode.serving.question import Question
from tests.support.serving_net import (
    LOAD,
    ScriptedEngine,
    answer,
    gated,
    make_ask,
    make_vertex,
    open_raw,
    read_raw,
    serving_net,
    until,
)

GOOD_PART = protocol.encode_frame(protocol.AskPart(b"{}"))
GOOD_ASK = protocol.encode_frame(make_ask())


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([b"\xff garbage"], MalformedMessage),
        ([GOOD_PART], MalformedMessage),
        ([GOOD_ASK, GOOD_ASK], MalformedMessage),
        ([GOOD_ASK, protocol.encode_frame(protocol.AskPart(b"{} "))], MessageTooLarge),
        ([GOOD_ASK, protocol.encode_frame(protocol.AskPart(b"\xff\xff"))], MalformedMessage),
        ([GOOD_ASK, protocol.encode_frame(protocol.AskPart(b"[]"))], MalformedMessage),
        ([GOOD_ASK, GOOD_PART, GOOD_PART], MalformedMessage),
        ([GOOD_ASK, GOOD_PART, b"garbage"], MalformedMessage),
        (
            [GOOD_ASK, GOOD_PART, protocol.encode_frame(protocol.Countersign(1, b""))],
            MalformedMessage,
        ),
        (
            [
                protocol.encode_frame(make_ask(b"x" * 50_000)),
                protocol.encode_frame(protocol.AskPart(b"[" * 50_000)),
            ],
            MalformedMessage,
        ),
    ],
)
async def test_hostile_asker_is_reset_and_its_offence_counted(frames, error):
    async with serving_net() as net:
        engine = gated()
        host, client = await net.add("host", engine), await net.add("client")
        stream = await open_raw(client, host)
        for frame in frames:
            await stream.send(frame)
        with pytest.raises(StreamReset):
            await read_raw(stream)
        assert [(peer, type(offence)) for peer, offence in host.offences] == [(client.peer, error)]
        assert (host.desk.running, host.desk.queued) == (0, 0)


@pytest.mark.parametrize(
    "frames",
    [[], [GOOD_ASK], [GOOD_ASK, protocol.encode_frame(protocol.Cancel())]],
)
async def test_asker_may_leave_before_its_question_is_complete(frames):
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        stream = await open_raw(client, host)
        for frame in frames:
            await stream.send(frame)
        await stream.finish()
        with pytest.raises(StreamReset):
            await read_raw(stream)
        assert host.offences == []
        assert not host.server._streams


async def test_asker_that_dawdles_is_reset(monkeypatch):
    monkeypatch.setattr(server, "READ_MS", 20)
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        stream = await open_raw(client, host)
        await stream.send(GOOD_ASK)
        with pytest.raises(StreamReset):
            await read_raw(stream)


async def test_asker_that_does_not_read_is_given_up(monkeypatch):
    monkeypatch.setattr(server, "SLOW_READER_MS", 50)
    async with serving_net() as net:
        engine = ScriptedEngine(["x" * 50_000] * 200)
        host, client = await net.add("host", engine), await net.add("client")
        stream = await open_raw(client, host)
        await stream.send(GOOD_ASK)
        await stream.send(GOOD_PART)
        await engine.stopped.wait()
        await until(lambda: host.desk.running == 0)
        stream.reset()


async def test_streams_of_one_peer_are_bounded(monkeypatch):
    monkeypatch.setattr(server, "STREAMS_PER_PEER_MAX", 2)
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        kept = [await open_raw(client, host) for _ in range(2)]
        for stream in kept:
            await stream.send(GOOD_ASK)
        await until(lambda: host.server._streams == {client.peer: 2})
        further = await open_raw(client, host)
        (refusal,) = await read_raw(further)
        assert (refusal.fault, refusal.load.slots) == (EngineFault.OVERLOADED, 1)
        for stream in kept:
            stream.reset()
        await until(lambda: not host.server._streams)


# --- hostile servers ---------------------------------------------------------------------------------


def encode_chunk(chunk) -> bytes:
    return protocol.encode_frame(protocol.Part(msgspec.json.encode(chunk), last=True))


FIRST = encode_chunk({"choices": [{"delta": {"content": "Hello"}}]})
DONE = protocol.encode_frame(
    protocol.Done(bytes(32), 1, "e", "m", "full", "stop", 0, 0, 0, 0, 0, LOAD)
)


def serve_frames(frames, *, end: str = "finish"):
    async def handle(stream):
        while not isinstance(protocol.decode_ask_frame(await stream.receive()), protocol.AskPart):
            pass
        for frame in frames:
            await stream.send(frame)
        if end == "finish":
            await stream.finish()
            await stream.receive()

    return handle


@pytest.mark.parametrize(
    ("frames", "fault", "offences"),
    [
        ([b"\xc1 garbage"], EngineFault.MALFORMED, 1),
        ([b""], EngineFault.MALFORMED, 1),
        ([GOOD_ASK], EngineFault.MALFORMED, 1),
        ([protocol.encode_frame(protocol.Invoice(b"", b""))], EngineFault.MALFORMED, 1),
        ([protocol.encode_frame(protocol.Part(b"{", last=True))], EngineFault.MALFORMED, 1),
        ([protocol.encode_frame(protocol.Part(b"[]", last=True))], EngineFault.MALFORMED, 1),
        (
            [protocol.encode_frame(protocol.Part(b"[" * 50_000, last=True))],
            EngineFault.MALFORMED,
            1,
        ),
        ([protocol.encode_frame(protocol.Part(b"{", last=False)), DONE], EngineFault.MALFORMED, 1),
        (
            [protocol.encode_frame(protocol.Part(bytes(59_000), last=False))] * 20,
            EngineFault.MALFORMED,
            1,
        ),
        ([], EngineFault.UNREACHABLE, 0),
        (
            [protocol.encode_frame(protocol.Failed("mystery", "what?", 0))],
            EngineFault.INTERNAL,
            0,
        ),
    ],
)
async def test_hostile_server_costs_one_attempt(frames, fault, offences):
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.handle_stream = serve_frames(frames)
        with pytest.raises(EngineError) as caught:
            await answer(client)
    assert caught.value.fault is fault
    assert len(client.offences) == offences


async def test_hostile_server_cannot_claim_another_vertex():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.handle_stream = serve_frames([FIRST, DONE])
        net.store[bytes(32)] = make_vertex(host.author, Kind.RESULT, b"")
        result = await answer(client)
    assert result.text == "Hello"
    assert not result.verified


async def test_hostile_server_is_cut_off_when_its_answer_has_no_end(monkeypatch):
    big = encode_chunk({"choices": [{"delta": {"content": "x" * 50_000}}]})

    async def serve_for_ever(stream):
        while True:
            await stream.send(big)

    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.handle_stream = serve_for_ever
        with pytest.raises(AnswerInterrupted, match="longer than"):
            await answer(client)


async def test_refusal_is_read_even_when_the_question_was_not_sent_whole():
    refusal = protocol.encode_frame(protocol.Failed("overloaded", "no room", 900))

    async def refuse_at_once(stream):
        await stream.receive()
        await stream.send(refusal)
        await stream.finish()
        for _ in range(100):
            await asyncio.sleep(0)

    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.handle_stream = refuse_at_once
        question = Question(request={"x": "y" * 1_500_000}, timeout_ms=800)
        with pytest.raises(EngineError) as caught:
            async with aclosing(client.asker.stream(question)) as items:
                await anext(items)
    assert caught.value.fault in {EngineFault.OVERLOADED, EngineFault.UNREACHABLE}
