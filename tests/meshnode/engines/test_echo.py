"""The echo engine: deterministic, honest about what it is, strict about requests."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.echo import PREFACE, EchoEngine, EchoOptions
from meshnode.engines.request import MESSAGES_MAX
from tests.support.chunks import finish_reason_of
from tests.support.engines import ask, read_chunks, read_text


async def test_echo_says_that_it_is_no_model_and_repeats_the_question():
    text = await read_text(EchoEngine(), ask("one  two\nthree "))
    assert text == "This is an echo, not a model. You said: one  two\nthree "


async def test_echo_is_the_same_when_asked_twice():
    request = ask("again", temperature=1.0)
    first = await read_chunks(EchoEngine(), request)
    assert first == await read_chunks(EchoEngine(), request)
    assert first != await read_chunks(EchoEngine(), ask("other"))


async def test_echo_streams_one_word_per_chunk():
    chunks = await read_chunks(EchoEngine(), ask("a b"))
    words = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert words[-4:] == ["said: ", "a ", "b", None]


async def test_echo_answers_the_last_user_message():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "sec"}, {"text": "ond"}]},
        {"role": "assistant", "content": None},
    ]
    assert await read_text(EchoEngine(), {"messages": messages}) == PREFACE + "second"


async def test_echo_answers_with_its_preface_when_no_user_speaks():
    request = {"messages": [{"role": "system", "content": "x"}]}
    assert await read_text(EchoEngine(), request) == PREFACE


@pytest.mark.parametrize("key", ["max_tokens", "max_completion_tokens"])
async def test_echo_honours_both_names_of_the_token_limit(key):
    chunks = await read_chunks(EchoEngine(), ask("a b", **{key: 3}))
    assert finish_reason_of(chunks[-1]) == "length"
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "total_tokens": 5,
    }


async def test_echo_never_exceeds_its_own_token_limit():
    engine = EchoEngine(EchoOptions(answer_tokens_max=2))
    chunks = await read_chunks(engine, ask("a b", max_tokens=1_000))
    assert chunks[-1]["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("said", "This is an echo, not a model. You "),
        (["zzz", "echo"], "This is an "),
        ([], f"{PREFACE}hi"),
        ("This", ""),
    ],
)
async def test_echo_ends_at_the_first_stop_text(stop, text):
    chunks = await read_chunks(EchoEngine(), ask("hi", stop=stop))
    assert await read_text(EchoEngine(), ask("hi", stop=stop)) == text
    assert finish_reason_of(chunks[-1]) == "stop"


async def test_echo_pauses_before_each_word():
    engine = EchoEngine(EchoOptions(delay_ms=10))
    start = asyncio.get_running_loop().time()
    await read_chunks(engine, ask("hi", max_tokens=5))
    assert asyncio.get_running_loop().time() - start >= 0.045


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "user", "content": ""}] * (MESSAGES_MAX + 1)}, "1000"),
        ({"messages": ["hi"]}, r"messages\[0\]"),
        ({"messages": [{"content": "hi"}]}, "role"),
        ({"messages": [{"role": "user", "content": 5}]}, "content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "not text"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "not text"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": "5"}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": [5]}, "stop"),
        ({"extra": object()}, "JSON"),
    ],
)
async def test_echo_refuses_what_is_no_request(fields, word):
    with pytest.raises(EngineError, match=word) as caught:
        await read_chunks(EchoEngine(), ask("hi") | fields)
    assert caught.value.fault is EngineFault.BAD_REQUEST


async def test_echo_lists_itself_without_tools():
    (model,) = await EchoEngine().models()
    assert (model.id, model.tools) == ("echo", False)
    assert "not a model" in model.label
