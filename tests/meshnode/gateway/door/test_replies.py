"""Streams that are quiet, clients that stop reading, and answers that are kept for a retry."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.gateway.door import idempotency, replies
from meshnode.gateway.door.idempotency import Memory
from meshnode.gateway.refusals import TooManyRequests
from tests.support.door import QUESTION, Hold, ScriptedEngine, chunk, open_door, read_events, say

CHAT = "/v1/chat/completions"
STREAM = {"messages": QUESTION, "stream": True}


@pytest.fixture
def engine():
    return ScriptedEngine(lambda _: say("Not ", "much."))


@pytest.fixture
async def door(engine):
    async with open_door(engine) as opened:
        yield opened


def make_slow(engine, gate, *steps):
    async def chat(_):
        await gate.wait()
        for step in steps:
            if isinstance(step, Exception):
                raise step
            yield step

    engine.chat = chat


async def test_quiet_stream_begins_with_pings_and_ends_as_any_other(engine, door, monkeypatch):
    monkeypatch.setattr(replies, "PING_INTERVAL_S", 0.05)
    gate = asyncio.Event()
    make_slow(engine, gate, *say("a"))
    async with door.open("POST", CHAT, STREAM) as response:
        assert response.status == 200
        assert await response.content.readuntil(b"\n\n") == b": ping\n\n"
        assert await response.content.readuntil(b"\n\n") == b": ping\n\n"
        gate.set()
        events = read_events((await response.read()).decode())
    assert events[-1] == "[DONE]"


async def test_failure_of_a_stream_that_has_begun_is_an_event(engine, door, monkeypatch):
    monkeypatch.setattr(replies, "PING_INTERVAL_S", 0.05)
    gate = asyncio.Event()
    make_slow(engine, gate, EngineError(EngineFault.BAD_REQUEST, "no"))
    async with door.open("POST", CHAT, STREAM) as response:
        assert await response.content.readuntil(b"\n\n") == b": ping\n\n"
        gate.set()
        events = read_events((await response.read()).decode())
    assert events[-1]["error"]["code"] == "bad_request"


async def test_client_that_stops_reading_is_given_up(engine, door, monkeypatch):
    monkeypatch.setattr(replies, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(replies, "STALLED_S", 0.1)
    big = "x" * 900_000  # more in all than the system's buffers take
    engine._script = lambda _: [*[chunk({"content": "a"}, odd=big)] * 12, Hold()]
    host, _, port = door.gateway.url.removeprefix("http://").rpartition(":")
    reader = socket.create_connection((host, int(port)))
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    body = '{"messages": [{"role": "user", "content": "a"}], "stream": true}'
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {door.token}\r\n"
    reader.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    try:
        await engine.asked.wait()
        async with asyncio.timeout(20):
            await engine.stopped.wait()
    finally:
        reader.close()


async def test_bug_in_the_middle_ends_the_connection(engine, door, monkeypatch, caplog):
    original = replies.HttpReply.send
    sent: list[bytes] = []

    async def fail(self, data):
        if sent:
            raise ZeroDivisionError("secret detail")
        sent.append(data)
        await original(self, data)

    monkeypatch.setattr(replies.HttpReply, "send", fail)
    engine._script = lambda _: [chunk({"content": "a"}), chunk({"content": "b"})]
    async with door.open("POST", CHAT, STREAM) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


class Recorder:
    """A reply that remembers what it was given."""

    def __init__(self):
        self.headers = {}
        self.pieces = []
        self.whole = None
        self.ended = False

    def add_headers(self, headers):
        self.headers.update(headers)

    async def send(self, data):
        self.pieces.append(data)

    async def end(self):
        self.ended = True

    def finish(self, body):
        self.whole = body


async def answer(memory, name, run, body=b"{}"):
    reply = Recorder()
    await memory.answer(("a", "/", name), body, reply, run)
    return reply


async def give_whole(kept):
    kept.add_headers({"x": "y"})
    kept.finish(b"whole")


async def test_memory_is_bounded_in_count_and_age(monkeypatch):
    now_s = 0.0
    memory = Memory(read_clock_s=lambda: now_s)
    monkeypatch.setattr(idempotency, "ENTRIES_MAX", 2)
    for name in "abc":
        reply = await answer(memory, name, give_whole)
        assert (reply.whole, reply.headers) == (b"whole", {"x": "y"})
    assert len(memory) == 2
    now_s = 3_601.0
    await answer(memory, "d", give_whole)
    assert len(memory) == 1


async def test_memory_is_bounded_in_size(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(idempotency, "BYTES_MAX", 5)
    for name in "ab":
        await answer(memory, name, give_whole)
    assert len(memory) == 1
    monkeypatch.setattr(idempotency, "ANSWER_BYTES_MAX", 4)
    with pytest.raises(EngineError):
        await answer(memory, "c", give_whole)


async def test_memory_full_of_questions_under_way_takes_no_more(monkeypatch):
    memory = Memory()
    monkeypatch.setattr(idempotency, "ENTRIES_MAX", 1)
    gate = asyncio.Event()

    async def wait(kept):
        await kept.send(b"a")
        await gate.wait()

    first = asyncio.create_task(answer(memory, "a", wait))
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await answer(memory, "b", give_whole)
    first.cancel()
    await asyncio.wait([first])
    await memory.close()
    assert len(memory) == 0
    await memory.close()


async def test_unexpected_failure_reaches_who_waits_and_is_forgotten():
    memory = Memory()

    async def fail(kept):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answer(memory, "a", fail)
    assert (await answer(memory, "a", give_whole)).whole == b"whole"
