"""An answer that broke off is an error by default; who asks for it has it continued, once."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import AnswerInterrupted
from meshnode.serving.resuming import Seam, add_seams, make_resumed_request
from meshnode.serving.target import Target
from meshnode.views import Finished
from tests.support.serving_net import ScriptedEngine, ask, failing, serving_net
from tests.support.views import make_answer

BROKEN = EngineError(EngineFault.INTERNAL, "broken")
TARGET = Target(peer="p", author=b"", name="ada", model="m")


class ResumingEngine(ScriptedEngine):
    """Breaks off in the first answer that the mesh asks for; the next goes on with its words."""

    breaks = True

    async def chat(self, request):
        last = request["messages"][-1]
        self.script = ["Hello", BROKEN] if last["role"] == "user" else [" world"]
        async for chunk in super().chat(request):
            yield chunk


async def test_answer_that_broke_off_is_continued_when_that_was_asked_for():
    engines = [ResumingEngine(model="m"), ResumingEngine(model="m")]
    async with serving_net() as net:
        for name, engine in zip("ab", engines, strict=True):
            await net.add(name, engine)
        client = await net.add("client")
        started, *deltas, finished = await ask(client, resume=True)
    first = started.name
    second = "b" if first == "a" else "a"
    assert "".join(delta.text for delta in deltas) == "Hello world"
    marks = [delta.chunk["meshnode"] for delta in deltas if "meshnode" in delta.chunk]
    assert [(mark["resumed"]["broke_off"], mark["resumed"]["name"]) for mark in marks] == [
        (first, second)
    ]
    result = finished.answer
    assert (result.text, result.seams, result.name) == ("Hello world", (5,), second)
    assert not result.verified
    assert result.attempts == (f"{first}: broken",)
    asked = next(engine for engine in engines if len(engine.requests[-1]["messages"]) == 2)
    assert asked.requests[-1]["messages"][-1] == {
        "role": "assistant",
        "content": "Hello",
        "partial": True,
    }


async def test_answer_is_continued_only_once():
    async with serving_net() as net:
        for name in "abc":
            await net.add(name, failing(BROKEN, name, model="m"))
        client = await net.add("client")
        with pytest.raises(AnswerInterrupted) as caught:
            await ask(client, resume=True)
    assert len(caught.value.text) == 2


async def test_answer_is_not_continued_by_another_model_nor_unasked():
    async with serving_net() as net:
        await net.add("a", failing(BROKEN, "Hello", model="m"))
        other = ScriptedEngine(model="n")
        await net.add("b", other)
        client = await net.add("client")
        for options in ({"model": "m", "resume": True}, {"model": "m"}):
            with pytest.raises(AnswerInterrupted) as caught:
                await ask(client, **options)
            assert caught.value.text == "Hello"
    assert other.requests == []


def test_request_goes_on_with_what_was_thought_and_said():
    seams = [Seam(TARGET, "Hel", "hm "), Seam(TARGET, "lo", "well")]
    request = make_resumed_request({"messages": [{"role": "user", "content": "x"}]}, seams)
    assert request["messages"][1] == {
        "role": "assistant",
        "content": "Hello",
        "partial": True,
        "reasoning_content": "hm well",
    }
    assert make_resumed_request({"x": 1}, []) == {"x": 1}
    assert len(make_resumed_request({"x": 1}, seams)["messages"]) == 1


def test_whole_answer_holds_the_thoughts_of_all():
    item = Finished(answer=make_answer(text=" world", name="ada", local=False))
    whole = add_seams(item, [Seam(TARGET, "Hello", "hm")]).answer
    assert whole.message == {
        "role": "assistant",
        "content": "Hello world",
        "reasoning_content": "hm",
    }
    assert add_seams(item, []) is item
