"""Engines people host themselves: told apart, counted by their tokenizers, read for their load."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import (
    CountMethod,
    Embeds,
    EngineError,
    EngineFault,
    HasAccount,
    LoadSignals,
    ReportsLoad,
)
from meshnode.engines.local_kinds import TRAITS, Kind
from meshnode.engines.registry import create_engine
from meshnode.errors import ConfigError
from tests.support.dialect_server import Step
from tests.support.engine_scene import connected, fail, notes_of
from tests.support.engines import ask, read_chunks, read_text
from tests.support.local_server import local_server
from tests.support.openai_server import DONE, MODEL, Script, chunk, refusal, text

HELLO = ask("Hello")
KINDS = ["vllm", "sglang", "llama_cpp", "ktransformers", "tensorrt_llm", "litellm", "other"]
LONG = {"messages": [{"role": "user", "content": "x" * 8_000}], "max_tokens": 10}


@pytest.mark.parametrize("kind", KINDS)
async def test_kind_is_told_by_endpoints(kind):
    async with local_server(kind=kind) as server, connected("local", server) as engine:
        assert engine.kind == kind
        assert await read_text(engine, HELLO) == "You said: Hello"
        assert not isinstance(engine, HasAccount)


@pytest.mark.parametrize(
    ("owner", "kind", "found"),
    [
        ("vllm", "other", "vllm"),
        ("llamacpp", "other", "llama_cpp"),
        ("sglang", "sglang", "sglang"),
        ("sglang", "ktransformers", "ktransformers"),
        ("sglang", "other", "sglang"),
        ("somebody", "vllm", "vllm"),
    ],
)
async def test_kind_is_told_by_the_model_list(owner, kind, found):
    async with local_server(kind=kind, owner=owner) as server, connected("local", server) as engine:
        assert engine.kind == found


async def test_kind_that_is_set_is_not_asked_for():
    async with (
        local_server(kind="vllm") as server,
        connected("local", server, kind="llama_cpp") as engine,
    ):
        assert engine.kind == "llama_cpp"


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("vllm", CountMethod.TOKENIZER),
        ("llama_cpp", CountMethod.TOKENIZER),
        ("sglang", CountMethod.PROVIDER),
        ("litellm", CountMethod.PROVIDER),
        ("tensorrt_llm", CountMethod.BOUND),
        ("other", CountMethod.BOUND),
    ],
)
async def test_tokens_are_counted_as_well_as_the_kind_can(kind, method):
    async with local_server(kind=kind) as server, connected("local", server) as engine:
        count = await engine.count_tokens(LONG)
    assert count.method is method
    if method is CountMethod.BOUND:
        assert count.tokens > 4_000
    else:
        assert 2_000 <= count.tokens < 2_200


async def test_conversation_between_the_bound_and_the_context_is_counted_and_served():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        await read_chunks(engine, LONG)  # 8,000 bytes, 2,000 tokens, and 4,096 fit
        error, _ = await fail(engine, ask("x" * 20_000, max_tokens=10))
    assert len(server.requests) == 1
    assert "model's tokenizer" in error.message
    assert server.tokenized[0]["add_generation_prompt"] is True


async def test_engine_that_may_cut_unseen_is_not_trusted_with_a_bound():
    async with local_server(kind="other") as server, connected("local", server) as engine:
        error, _ = await fail(engine, LONG)
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert "no tokenizer is at hand" in error.message
    assert server.requests == []


async def test_engine_known_to_refuse_decides_beyond_the_bound():
    async with local_server(kind="tensorrt_llm") as server, connected("local", server) as engine:
        chunks = await read_chunks(engine, LONG)
    assert "context_uncertain" in notes_of(chunks)


async def test_nothing_is_counted_where_the_engine_decides():
    options = {"context_rule": "engine"}
    async with local_server(kind="vllm") as server, connected("local", server, **options) as engine:
        await read_chunks(engine, ask("x" * 20_000))
    assert server.tokenized == []


@pytest.mark.parametrize(
    ("kind", "load"),
    [
        ("vllm", (5, 1, 500)),
        ("sglang", (4, 9, 125)),
        ("ktransformers", (4, 9, 125)),
        ("llama_cpp", (1, 2, 750)),
        ("tensorrt_llm", (6, 7, 1_000)),
        ("litellm", (None, None, None)),
        ("other", (None, None, None)),
    ],
)
async def test_load_is_read_from_metrics(kind, load):
    running, waiting, usage = load
    async with local_server(kind=kind) as server, connected("local", server) as engine:
        assert isinstance(engine, ReportsLoad)
        assert await engine.read_load() == LoadSignals(
            running=running, waiting=waiting, kv_usage_permille=usage
        )


async def test_load_of_an_engine_without_metrics_is_an_error():
    async with (
        local_server(kind="other") as server,
        connected("local", server, kind="vllm") as engine,
    ):
        with pytest.raises(EngineError):
            await engine.read_load()


@pytest.mark.parametrize(
    ("kind", "share", "shareable"),
    [("vllm", True, True), ("vllm", False, False), ("litellm", True, False)],
)
async def test_only_weights_of_ones_own_are_shared_and_only_when_told(kind, share, shareable):
    async with local_server(kind=kind) as server, connected("local", server, share=share) as engine:
        assert engine.shareable is shareable


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("local", {"base_url": "https://api.moonshot.ai/v1", "share": True}),
        ("local", {"base_url": "https://OpenRouter.ai./api/v1", "share": True}),
        ("openai_compatible", {"base_url": "https://api.openai.com/v1", "self_hosted": True}),
    ],
)
def test_account_at_a_provider_cannot_be_declared_ones_own(name, options):
    with pytest.raises(ConfigError, match="serves its owner only"):
        create_engine(name, options)


async def test_kimi_weights_get_their_rules_and_nothing_is_refused_for_the_engine():
    call = {"id": "c1", "type": "function", "function": {"name": "go", "arguments": "{}"}}
    request = {
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "gone"},
        ],
        "max_completion_tokens": 3,
        "tool_choice": "required",
    }
    async with (
        local_server(kind="vllm", model_id="moonshotai/Kimi-K2-Instruct") as server,
        connected("local", server) as engine,
    ):
        (model,) = await engine.models()
        await read_chunks(engine, request)
    (sent,) = server.requests
    assert model.tools
    assert sent["temperature"] == 0.6
    assert sent["max_tokens"] == 3
    assert "max_completion_tokens" not in sent
    assert sent["tool_choice"] == "required"
    assert "content" not in sent["messages"][1]
    assert sent["messages"][2]["tool_call_id"] == "functions.go:0"


@pytest.mark.parametrize("kind", ["vllm", "llama_cpp"])
async def test_answer_is_continued_in_the_engines_words(kind):
    messages = [
        {"role": "user", "content": "Count"},
        {"role": "assistant", "content": "One", "partial": True},
    ]
    async with local_server(kind=kind) as server, connected("local", server) as engine:
        await read_chunks(engine, {"messages": messages})
    sent = server.requests[0]
    assert "partial" not in sent["messages"][-1]
    told = (sent.get("continue_final_message"), sent.get("add_generation_prompt"))
    assert told == ((True, False) if kind == "vllm" else (None, None))


async def test_thinking_is_switched_by_the_template():
    options = {"chat_template_kwargs": {"custom": 1}}
    async with (
        local_server(kind="vllm", model_id="kimi-k2.6") as server,
        connected("local", server, **options) as engine,
    ):
        await read_chunks(engine, HELLO | {"thinking": {"type": "disabled"}})
        await read_chunks(engine, HELLO | {"chat_template_kwargs": {"thinking": True}})
    sent = [request["chat_template_kwargs"] for request in server.requests]
    assert sent == [{"custom": 1, "thinking": False}, {"custom": 1, "thinking": True}]


LEAK = (
    "<|tool_calls_section_begin|><|tool_call_begin|>functions.go:0<|tool_call_argument_begin|>"
    '{"to": "Paris"}<|tool_call_end|><|tool_calls_section_end|>'
)
GO = [{"type": "function", "function": {"name": "go", "parameters": {}}}]


async def test_tool_calls_that_leak_as_text_are_read_and_mark_the_engine():
    pieces = [LEAK[at : at + 7] for at in range(0, len(LEAK), 7)]
    steps: list[Step] = [text("On my way. "), *map(text, pieces), chunk({}, "stop"), DONE]
    async with (
        local_server(kind="vllm", model_id="kimi-k2", scripts=[Script(steps)]) as server,
        connected("local", server) as engine,
    ):
        chunks = await read_chunks(engine, HELLO | {"tools": GO})
        (model,) = await engine.models()
        assert engine.broken_tool_parsers == {"kimi-k2"}
    assert not model.tools
    seen = "".join(choice["delta"].get("content") or "" for c in chunks for choice in c["choices"])
    assert seen == "On my way. "
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    (call,) = chunks[-1]["choices"][0]["delta"]["tool_calls"]
    assert call["function"] == {"name": "go", "arguments": '{"to": "Paris"}'}
    assert "tool_parser_broken" in notes_of(chunks)


async def test_engine_of_ones_own_is_asked_again_after_a_refusal():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        for _ in range(2):
            error, _ = await fail(engine, HELLO | {"model": "not-loaded-yet"})
            assert error.fault is EngineFault.MODEL_NOT_FOUND
    assert len(server.requests) == 2


async def test_embeddings_pass_through_with_their_fields():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        assert isinstance(engine, Embeds)
        answer = await engine.embed({"input": "a", "model": "auto", "x_new": 1})
        with pytest.raises(EngineError, match="JSON"):
            await engine.embed({"input": object()})
    assert answer["data"][0]["embedding"] == [1.0]
    assert server.requests == [{"input": "a", "model": MODEL, "x_new": 1}]


async def test_embedding_request_over_its_limit_is_refused_here():
    async with (
        local_server() as server,
        connected("local", server, request_bytes_max=100) as engine,
    ):
        with pytest.raises(EngineError, match="bytes"):
            await engine.embed({"input": "x" * 200})


def test_address_that_is_none_is_refused_as_such():
    with pytest.raises(ConfigError, match="base_url"):
        create_engine("local", {"base_url": "http://[bad/v1", "share": True})


async def test_count_of_another_shape_falls_back_to_the_bound(monkeypatch):
    async with local_server(kind="llama_cpp") as server, connected("local", server) as engine:
        for answer in ({"tokens": 5, "prompt": "x"}, {"count": True}):

            async def odd(path, body, answer=answer):
                return answer

            monkeypatch.setattr(engine, "_ask", odd)
            assert (await engine.count_tokens(LONG)).method is CountMethod.BOUND
            engine._traits = TRAITS[Kind.VLLM]


async def test_embedding_that_fails_is_on_the_books_and_one_without_a_wish_takes_the_default():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        await engine.embed({"input": "a", "model": "other"})
        await engine.close()
        with pytest.raises(EngineError):
            await engine.embed({"input": "a"})
        assert [record.outcome for record in engine.records] == ["answered"]


async def test_embedding_that_the_engine_refuses_is_on_the_books():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        engine._backend._base_url = engine._backend._base_url / "nowhere"
        with pytest.raises(EngineError):
            await engine.embed({"input": "a"})
    assert [record.fault for record in engine.records] == ["model_not_found"]


async def test_embedding_that_is_given_up_is_on_the_books_as_cancelled():
    async with local_server(kind="vllm") as server, connected("local", server) as engine:
        server.hold = asyncio.Event()
        task = asyncio.create_task(engine.embed({"input": "a"}))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [record.outcome for record in engine.records] == ["cancelled"]


async def test_conversation_with_any_model_is_trimmed_by_the_engines_own_count():
    turns = [
        {"role": role, "content": f"{number} " + "x" * 4_000}
        for number in range(8)
        for role in ("user", "assistant")
    ]
    request = {"messages": [*turns, {"role": "user", "content": "last"}], "max_tokens": 10}
    options = {"context_rule": "trim"}
    async with local_server(kind="vllm") as server, connected("local", server, **options) as engine:
        chunks = await read_chunks(engine, request)
    (sent,) = server.requests
    assert len(str(sent["messages"])) // 4 <= 4_086
    assert sent["messages"][-1]["content"] == "last"
    assert "tokenizer" in notes_of(chunks)["context_trimmed"]


async def test_refused_length_without_numbers_that_help_is_told_as_it_is():
    said = refusal(400, {"error": {"message": "maximum context length exceeded"}})
    options = {"context_rule": "trim"}
    async with local_server(scripts=[said]) as server, connected("local", server, **options) as e:
        error, _ = await fail(e, HELLO)
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert len(server.requests) == 1
