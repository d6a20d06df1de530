"""Another replica takes over before the first token, and never after it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    DeadlineExceeded,
    PeerGone,
)
from meshnode.serving import remote
from meshnode.serving.question import Question
from tests.support.serving_net import (
    BUSY,
    REQUEST,
    ScriptedEngine,
    answer,
    ask,
    failing,
    gated,
    serving_net,
)


async def test_another_peer_takes_over_when_the_first_dies_before_its_first_token():
    async with serving_net() as net:
        silent = gated()
        first = await net.add("a", silent)
        client = await net.add("client")
        task = asyncio.create_task(ask(client))
        await silent.entered.wait()
        await net.add("b", ScriptedEngine())
        await net.stop(first)
        result = (await task)[-1].answer
    assert result.name == "b"
    assert len(result.attempts) == 1
    assert result.attempts[0].startswith("a: peer-a")


@pytest.mark.parametrize(
    "error", [BUSY, EngineError(EngineFault.INTERNAL, "broken"), RuntimeError("boom")]
)
async def test_another_peer_takes_over_when_the_first_refuses(error):
    async with serving_net() as net:
        await net.add("a", failing(error, model="m"))
        await net.add("b", failing(error, model="m"))
        await net.add("c", ScriptedEngine(model="m"))
        client = await net.add("client")
        names = {(await answer(client)).name for _ in range(3)}
    assert names == {"c"}


async def test_question_fails_after_three_peers_failed():
    async with serving_net() as net:
        for name in "abcd":
            await net.add(name, failing(BUSY))
        client = await net.add("client")
        with pytest.raises(EngineError, match="3 peers were asked in vain") as caught:
            await answer(client, timeout_ms=400)
    assert caught.value.fault is EngineFault.OVERLOADED
    assert caught.value.retry_after_ms == 700


async def test_question_fails_with_the_last_error_when_nobody_is_left():
    async with serving_net() as net:
        await net.add("a", failing(BUSY))
        client = await net.add("client")
        with pytest.raises(EngineError, match="busy"):
            await answer(client, timeout_ms=600)


async def test_question_is_not_passed_on_when_it_is_the_questions_fault():
    async with serving_net() as net:
        bad = EngineError(EngineFault.BAD_REQUEST, "no such field")
        engines = [failing(bad), failing(bad)]
        for name, engine in zip("ab", engines, strict=True):
            await net.add(name, engine)
        client = await net.add("client")
        with pytest.raises(EngineError, match="no such field"):
            await answer(client)
    assert sum(len(engine.requests) for engine in engines) == 1


async def test_text_so_far_is_handed_over_when_the_answer_breaks_off():
    async with serving_net() as net:
        await net.add("a", failing(EngineError(EngineFault.INTERNAL, "broken"), "Hello", " wo"))
        other = await net.add("b", ScriptedEngine(model="other"))
        client = await net.add("client")
        with pytest.raises(AnswerInterrupted, match="broken") as caught:
            await answer(client, model="scripted")
    assert caught.value.text == "Hello wo"
    assert other.published == []


async def test_text_so_far_is_handed_over_when_the_peer_dies():
    async with serving_net() as net:
        engine = gated("Hello")
        host, client = await net.add("host", engine), await net.add("client")
        async with aclosing(client.asker.stream(Question(request=REQUEST))) as items:
            seen: list[Any] = [await anext(items) for _ in range(3)]
            await net.stop(host)
            with pytest.raises(AnswerInterrupted) as caught:
                await anext(items)
    assert seen[-1].text == caught.value.text == "Hello"


async def test_question_that_is_not_taken_fails_over(monkeypatch):
    monkeypatch.setattr(remote, "SILENT_MS", 30)
    hold = asyncio.Event()

    async def take_nothing(stream):
        await hold.wait()

    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.handle_stream = take_nothing
        question = Question(request={"x": "y" * 1_500_000})
        with pytest.raises(EngineError, match="did not take the question"):
            async with aclosing(client.asker.stream(question)) as items:
                await anext(items)
        hold.set()


async def test_stream_that_cannot_be_opened_fails_over(monkeypatch):
    monkeypatch.setattr(remote, "OPEN_MS", 20)
    async with serving_net() as net:
        await net.add("host", ScriptedEngine())
        client: Any = await net.add("client")

        async def gone(peer):
            raise PeerGone(f"{peer} is gone")

        async def never(peer):
            await asyncio.Event().wait()

        for open_stream, reason in ((gone, "is gone"), (never, "could be opened")):
            client.open_stream = open_stream
            with pytest.raises(EngineError, match=reason):
                await answer(client)


async def test_time_spent_on_one_replica_is_missing_for_the_next():
    async with serving_net() as net:
        await net.add("host", ScriptedEngine())
        engine: Any = ScriptedEngine()
        node = await net.add("client", engine)

        def chat(request):
            node.clock_offset_ms += 120_000
            raise BUSY

        engine.chat = chat
        with pytest.raises(DeadlineExceeded, match="120000 ms"):
            await answer(node)
