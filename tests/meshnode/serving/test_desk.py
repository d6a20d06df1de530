"""The own engine behind its desk: slots, deadlines, heartbeats, engines that misbehave."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from dag.bodies import RESULT_DECODER
from meshnode.engines.base import EngineError
from meshnode.errors import (
    AnswerInterrupted,
)
from meshnode.serving import protocol
from meshnode.serving.question import Question
from tests.support.serving_net import (
    BUSY,
    REQUEST,
    ScriptedEngine,
    answer,
    gated,
    serving_net,
)


async def test_engine_that_holds_back_its_text_can_still_be_replaced():
    quiet: list[Any] = [{"choices": []}] * 20
    async with serving_net() as net:
        await net.add("a", ScriptedEngine([*quiet[:5], BUSY], model="m"))
        client = await net.add("client")
        with pytest.raises(EngineError, match="busy"):
            await answer(client, timeout_ms=600)
        await net.add("b", ScriptedEngine([*quiet, BUSY], model="n"))
        with pytest.raises(AnswerInterrupted):
            await answer(client, model="n")


@pytest.mark.parametrize("chunk", [3, {"choices": [3]}, {"choices": [], "x": object()}])
async def test_engine_that_produces_no_chunk_fails_cleanly(chunk):
    async with serving_net() as net:
        node = await net.add("solo", ScriptedEngine([chunk]))
        with pytest.raises(EngineError, match="chunk"):
            await answer(node)


async def test_engine_that_produces_a_huge_chunk_fails_cleanly():
    async with serving_net() as net:
        node = await net.add("solo", ScriptedEngine(["x" * protocol.CHUNK_BYTES_MAX]))
        with pytest.raises(EngineError, match="more than"):
            await answer(node)


async def test_plain_iterators_are_engines_too():
    class Iterator:
        def __init__(self):
            self.chunks = [{"choices": [{"delta": {"content": "a"}}]}]

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.chunks:
                raise StopAsyncIteration
            return self.chunks.pop()

    engine: Any = ScriptedEngine()
    engine.chat = lambda request: Iterator()
    async with serving_net() as net:
        node = await net.add("solo", engine)
        result = await answer(node)
    assert (result.text, result.finish_reason, result.model) == ("a", "unknown", "scripted")


async def test_engine_that_does_not_stop_does_not_hold_the_asker(monkeypatch):
    monkeypatch.setattr("meshnode.serving.pump.STOP_MS", 20)
    release = asyncio.Event()

    class Stubborn(ScriptedEngine):
        async def chat(self, request):
            yield {"choices": [{"delta": {"content": "a"}}]}
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    async with serving_net() as net:
        node = await net.add("solo", Stubborn())
        async with asyncio.timeout(5):
            async with aclosing(node.asker.stream(Question(request=REQUEST))) as items:
                await anext(items)
        assert node.desk.running == 0
        release.set()


async def test_desk_knows_the_revision_of_its_own_models_only():
    engine = ScriptedEngine()
    async with serving_net() as net:
        node = await net.add("solo", engine)
        engine._model = "renamed"
        await answer(node)
    body = RESULT_DECODER.decode(node.published[0].vertex.body)
    assert (body.model, body.model_revision) == ("renamed", "")


async def test_desk_does_not_wait_for_answers_longer_than_it_is_told():
    async with serving_net() as net:
        engine = gated()
        node = await net.add("solo", engine)
        asking = asyncio.create_task(answer(node))
        await engine.entered.wait()
        await node.desk.drain(timeout_ms=1)
        assert node.desk.running == 1
        engine.gate.set()
        assert (await asking).text == "done"
