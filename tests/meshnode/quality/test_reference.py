"""The own model as a measure, with engines from a script and with the bundled model."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.chunks import delta_chunk, usage_of
from meshnode.engines.embedded import EmbeddedEngine, EmbeddedOptions
from meshnode.engines.registry import embedded_is_installed
from meshnode.quality.reference import LOGPROB_MIN, Reference, read_steps
from meshnode.quality.replay import Comparison, Step

ASKED = [{"role": "user", "content": "What is it?"}]
WORDS = ["It", " is", " a", " house"]


class TellingEngine:
    """Says its words one by one, goes on behind a given beginning, and tells its doubts."""

    name = "telling"

    def __init__(self, words: list[str], *, tells: bool = True) -> None:
        self.words = words
        self.tells = tells
        self.requests: list[Any] = []

    async def chat(self, request):
        self.requests.append(request)
        last = request["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        said = ""
        for word in [*self.words, ""]:
            said += word
            if len(said) <= len(begun) and word:
                continue
            chunk = delta_chunk("a", "m", {"content": word})
            if self.tells:
                chunk["choices"][0]["logprobs"] = {"content": [_tell(word)]}
            yield chunk
        tokens = sum(len(each["content"].split()) for each in request["messages"])
        yield {"choices": [], "usage": usage_of(7 + tokens, 1)}


def _tell(word: str) -> dict[str, Any]:
    other = {"token": " barn", "logprob": -0.4}
    return {
        "token": word,
        "bytes": list(word.encode()),
        "logprob": -0.1,
        "top_logprobs": [{"token": word, "logprob": -0.1}, other],
    }


async def replay(engine: Any, answer: str, *, ended: bool = True) -> Comparison:
    return await Reference(engine).replay(ASKED, answer, ended=ended)


async def test_own_answer_takes_one_run():
    engine = TellingEngine(WORDS)
    assert await replay(engine, "It is a house") == Comparison(5, 5, 5)
    assert len(engine.requests) == 1
    assert engine.requests[0]["temperature"] == 0


async def test_run_begins_anew_behind_a_difference():
    engine = TellingEngine([*WORDS, "!"])
    assert await replay(engine, "It is a mill!!", ended=False) == Comparison(5, 3, 3)
    engine = TellingEngine([*WORDS, "."])
    assert await replay(engine, "It is a barn ", ended=False) == Comparison(5, 4, 3)
    assert engine.requests[1]["messages"][-1] == {"role": "assistant", "content": "It is a barn"}


async def test_engine_that_tells_no_probabilities_is_no_reference():
    with pytest.raises(EngineError, match="does not tell") as caught:
        await replay(TellingEngine(WORDS, tells=False), "It is")
    assert caught.value.fault == EngineFault.MALFORMED


async def test_tokens_are_counted_without_the_frame_of_the_prompt():
    engine: Any = TellingEngine([])
    reference = Reference(engine)
    assert await reference.count_tokens("one two three") == 3
    assert await reference.count_tokens("one") == 1
    assert len(engine.requests) == 3


async def test_tokens_are_not_counted_where_no_usage_is_told():
    class Silent:
        name = "silent"

        async def chat(self, _):
            yield {"choices": [], "usage": {"prompt_tokens": None}}

    silent: Any = Silent()
    assert await Reference(silent).count_tokens("one") is None


def test_steps_are_read_in_whole_numbers():
    entry = _tell("It") | {"logprob": -0.1004}
    entry["top_logprobs"][1]["logprob"] = -1e300
    chunk = {"choices": [{"logprobs": {"content": [entry]}}, {"logprobs": None}, {}]}
    gap = round(-LOGPROB_MIN * 1_000) - 100
    assert read_steps(chunk) == (Step(b"It", ((b"It", 0), (b" barn", gap))),)


@pytest.mark.parametrize("content", [5, [{}], [{"logprob": -1, "bytes": [256]}], ["x"]])
def test_steps_that_cannot_be_read_are_refused(content):
    with pytest.raises(EngineError, match="cannot be read"):
        read_steps({"choices": [{"logprobs": {"content": content}}]})


@pytest.mark.skipif(not embedded_is_installed(), reason="the `local` extra is not installed")
async def test_bundled_model_recognises_its_own_answer_and_no_other():
    engine = EmbeddedEngine(EmbeddedOptions(context_tokens=256, threads=1))
    await engine.start()
    try:
        text, reason = "", ""
        async for chunk in engine.chat({"messages": ASKED, "max_tokens": 8, "temperature": 0}):
            for choice in chunk["choices"]:
                text += choice["delta"].get("content") or ""
                reason = choice["finish_reason"] or reason
        own = await Reference(engine).replay(ASKED, text, ended=reason == "stop")
        assert own.matched == own.compared >= 8
        other = await Reference(engine).replay(ASKED, "Purple clocks dream by.", ended=False)
        assert other.matched * 2 <= other.compared
        assert await Reference(engine).count_tokens(text) in range(6, 11)
    finally:
        await engine.close()
