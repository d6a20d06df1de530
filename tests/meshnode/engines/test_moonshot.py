"""The Kimi platform, against a stand-in as strict as its documentation."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.engines.base import (
    CountMethod,
    CountsTokens,
    EngineFault,
    HasAccount,
    Metered,
)
from meshnode.engines.moonshot import BASE_URLS
from meshnode.engines.registry import create_engine
from meshnode.engines.usage import Outcome
from tests.support.chunks import finish_reason_of
from tests.support.engine_scene import connected, fail, notes_of, only_record
from tests.support.engines import ask, read_chunks, read_text
from tests.support.moonshot_server import (
    CODER,
    INSTRUCT,
    NEWEST,
    THINKER,
    listing,
    moonshot_server,
)

HELLO = ask("Hello")
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
async def server():
    async with moonshot_server() as running:
        yield running


def serve(server, *models):
    server.models = listing(*models)


async def test_engine_counts_has_an_account_and_serves_its_owner_only(server):
    async with connected("moonshot", server) as engine:
        for ability in (CountsTokens, HasAccount, Metered):
            assert isinstance(engine, ability)
        assert not engine.shareable
        assert engine.owner == "local"


@pytest.mark.parametrize(("region", "host"), [("international", "ai"), ("china", "cn")])
def test_region_chooses_the_address(region, host):
    assert BASE_URLS[region] == f"https://api.moonshot.{host}/v1"
    create_engine("moonshot", {"region": region, "api_key": "sk-abcdefgh"})


async def test_auto_is_the_newest_plain_model_that_is_listed(server):
    serve(server, CODER, THINKER, INSTRUCT, "moonshot-v1-8k", "kimi-latest", "kimi-k2.5")
    async with connected("moonshot", server) as engine:
        await read_chunks(engine, HELLO | {"model": "auto"})
    assert server.requests[0]["model"] == THINKER


@pytest.mark.parametrize("model", [INSTRUCT, THINKER, CODER, NEWEST, "kimi-k9-turbo"])
async def test_plain_request_suits_every_family(server, model):
    serve(server, model)
    async with connected("moonshot", server) as engine:
        assert await read_text(engine, HELLO) == "You said: Hello"
    (sent,) = server.requests
    assert sent.get("temperature") == (0.6 if model == INSTRUCT else None)
    assert sent["max_completion_tokens"] > 0
    assert sent["stream"] is True


async def test_request_as_sdks_send_it_is_answered_and_says_what_was_left_out(server):
    serve(server, THINKER)
    request = HELLO | {"temperature": 0.2, "top_p": 0.95, "n": 1, "max_tokens": 50, "x_new": [1]}
    async with connected("moonshot", server) as engine:
        chunks = await read_chunks(engine, request)
    (sent,) = server.requests
    assert sent["x_new"] == [1]
    assert sent["max_completion_tokens"] == 50
    assert "max_tokens" not in sent
    assert notes_of(chunks) == {
        "fixed_sampling": "0.2 was left out: the model fixes this value",
    }


async def test_set_sampling_field_is_refused_where_that_is_the_rule(server):
    serve(server, THINKER)
    async with connected("moonshot", server, fixed_fields="refuse") as engine:
        error, _ = await fail(engine, HELLO | {"temperature": 0.2})
        await read_chunks(engine, HELLO | {"temperature": 1.0})
    assert error.fault is EngineFault.BAD_REQUEST
    assert "temperature" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("place", ["choice", "top", "extra"])
async def test_usage_is_found_in_all_three_places_and_priced(server, place):
    server.usage_place = place
    serve(server, THINKER)
    async with connected("moonshot", server) as engine:
        chunks = await read_chunks(engine, HELLO)
    usage = chunks[-1]["usage"]
    assert sum("usage" in chunk for chunk in chunks) == 1
    record = only_record(engine)
    assert record.engine == "moonshot"
    assert record.model == THINKER
    assert record.outcome is Outcome.ANSWERED
    assert record.request_id == "req-1"
    assert record.prompt_tokens == usage["prompt_tokens"]
    assert record.cached_tokens == usage["cached_tokens"]
    fresh = record.prompt_tokens - record.cached_tokens
    cost = fresh * 950_000 + record.cached_tokens * 160_000 + record.completion_tokens * 4_000_000
    assert record.cost_udollar == -(-cost // 1_000_000)
    assert record.time_ms > 1_700_000_000_000
    assert record.first_token_ms is not None
    told = chunks[-1]["meshnode"]["engine"]
    assert told["request_id"] == "req-1"
    assert told["trace_id"] == "trace-1"
    assert told["cost_udollar"] == record.cost_udollar


async def test_cost_is_unknown_in_yuan_and_without_usage_and_set_prices_win(server):
    serve(server, THINKER)
    prices = {"kimi-k2.6": {"prompt": 0, "completion": 1_000_000}}
    async with connected("moonshot", server, region="china") as engine:
        await read_chunks(engine, HELLO)
        assert only_record(engine).cost_udollar is None
        assert (await engine.read_account()).currency == "CNY"
    async with connected("moonshot", server, region="china", prices=prices) as engine:
        await read_chunks(engine, HELLO)
        assert only_record(engine).cost_udollar == only_record(engine).completion_tokens
    server.usage_place = "none"
    async with connected("moonshot", server) as engine:
        await read_chunks(engine, HELLO)
        assert only_record(engine).cost_udollar is None


async def test_account_tells_the_balance_in_whole_millionths(server):
    async with connected("moonshot", server) as engine:
        account = await engine.read_account()
    assert account.available_micro == 49_588_940
    assert account.currency == "USD"
    assert account.details == {"voucher_balance_micro": 46_588_930, "cash_balance_micro": 3_000_010}


async def test_reasoning_is_put_back_for_a_client_that_dropped_it(server):
    serve(server, THINKER)
    asked = [{"role": "user", "content": "call get_weather"}]
    first = {"messages": asked, "tools": [WEATHER]}
    async with connected("moonshot", server) as engine:
        chunks = await read_chunks(engine, first)
        calls = collect_calls(chunks)
        history = [
            *asked,
            # As the stock client sends it back: an empty content, and no reasoning.
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": calls[0]["id"], "content": "sunny"},
            {"role": "user", "content": "thanks"},
        ]
        answer = await read_chunks(engine, {"messages": history, "tools": [WEATHER]})
    assert finish_reason_of(chunks[-1]) == "tool_calls"
    sent = server.requests[1]["messages"]
    assert sent[1]["reasoning_content"] == "The user spoke."
    assert "content" not in sent[1]
    assert sent[1]["tool_calls"][0]["id"] == "functions.get_weather:0"
    assert sent[2]["tool_call_id"] == "functions.get_weather:0"
    assert "reasoning_missing" not in notes_of(answer)
    assert history[1] == {"role": "assistant", "content": None, "tool_calls": calls}


async def test_missing_reasoning_of_another_conversation_is_told_with_the_refusal(server):
    serve(server, THINKER)
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
    ]
    async with connected("moonshot", server) as engine:
        error, _ = await fail(engine, {"messages": history})
        assert error.fault is EngineFault.BAD_REQUEST
        assert "reasoning_content is missing" in error.message
        await read_chunks(engine, {"messages": history, "thinking": {"type": "disabled"}})


def collect_calls(chunks):
    calls: dict[int, Any] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for piece in choice["delta"].get("tool_calls", ()):
                call = calls.setdefault(
                    piece["index"], {"type": "function", "function": {"name": "", "arguments": ""}}
                )
                call["id"] = piece.get("id", call.get("id"))
                for name in ("name", "arguments"):
                    call["function"][name] += piece["function"].get(name, "")
    return list(calls.values())


async def test_answer_is_continued_as_partial(server):
    serve(server, THINKER)
    messages = [{"role": "user", "content": "Count"}, {"role": "assistant", "content": "One"}]
    request = {
        "messages": messages,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }
    async with connected("moonshot", server) as engine:
        assert await read_text(engine, request) == " and so on."
    assert server.requests[0]["messages"][-1] == messages[-1] | {"partial": True}
    assert "add_generation_prompt" not in server.requests[0]


async def test_cache_key_and_safety_identifier_are_defaults(server):
    options = {"prompt_cache_key": "session", "safety_identifier": "me"}
    async with connected("moonshot", server, **options) as engine:
        await read_chunks(engine, HELLO)
        await read_chunks(engine, HELLO | {"prompt_cache_key": "mine"})
    assert [sent["prompt_cache_key"] for sent in server.requests] == ["session", "mine"]
    assert server.requests[0]["safety_identifier"] == "me"


async def test_wishes_to_the_mesh_stay_here(server):
    async with connected("moonshot", server) as engine:
        await read_chunks(engine, HELLO | {"meshnode": {"max_ruv": "1"}})
    assert "meshnode" not in server.requests[0]


# --- context ---------------------------------------------------------------------------------------

TURN = "x" * 4_000


def long_chat(turns):
    history = [{"role": "system", "content": "Be kind."}]
    for number in range(turns):
        history.append({"role": "user", "content": f"{number} {TURN}"})
        history.append({"role": "assistant", "content": f"Yes {number}."})
    return {"messages": [*history, {"role": "user", "content": "the last"}], "max_tokens": 100}


async def test_short_conversation_is_not_counted(server):
    async with connected("moonshot", server) as engine:
        await read_chunks(engine, HELLO)
    assert server.estimates == []


async def test_conversation_that_does_not_fit_is_refused_with_the_count(server):
    async with connected("moonshot", server, context_tokens=5_000) as engine:
        error, _ = await fail(engine, long_chat(10))
        await read_chunks(engine, long_chat(4))
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert not error.may_retry_elsewhere
    assert "counted by the provider" in error.message
    assert "4900 fit" in error.message
    assert len(server.requests) == 1
    assert len(server.estimates) == 2


async def test_oldest_turns_are_left_out_and_the_answer_says_so(server):
    options = {"context_tokens": 5_000, "context_rule": "trim"}
    async with connected("moonshot", server, **options) as engine:
        chunks = await read_chunks(engine, long_chat(10))
    (sent,) = server.requests
    assert sent["messages"][0] == {"role": "system", "content": "Be kind."}
    assert sent["messages"][-1]["content"] == "the last"
    assert sent["messages"][1]["role"] == "user"
    assert server.estimate(sent["messages"]) <= 4_900
    assert server.estimate(sent["messages"]) > 3_000
    note = notes_of(chunks)["context_trimmed"]
    assert f"{22 - len(sent['messages'])} of 22 messages were left out" in note


async def test_request_chooses_its_own_context_rule(server):
    request = long_chat(10) | {"meshnode": {"context_rule": "trim"}}
    async with connected("moonshot", server, context_tokens=5_000) as engine:
        assert "context_trimmed" in notes_of(await read_chunks(engine, request))


async def test_last_turn_is_never_trimmed(server):
    options = {"context_tokens": 500, "context_rule": "trim"}
    async with connected("moonshot", server, **options) as engine:
        error, _ = await fail(engine, ask(TURN, max_tokens=10))
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert server.requests == []


async def test_default_cap_yields_to_a_long_prompt(server):
    async with connected("moonshot", server, context_tokens=5_000) as engine:
        chunks = await read_chunks(engine, {"messages": long_chat(3)["messages"]})
    cap = server.requests[0]["max_completion_tokens"]
    assert cap == 5_000 - server.estimate(server.requests[0]["messages"])
    assert "answer_cap" in notes_of(chunks)


async def test_context_of_128k_and_beyond_is_counted_and_trimmed(server):
    server.window = 131_072
    words = "the quick brown fox " * 400
    history = [
        {"role": role, "content": f"{number} {words}"}
        for number in range(80)
        for role in ("user", "assistant")
    ]
    request = {"messages": [*history, {"role": "user", "content": "end"}], "max_tokens": 1_000}
    options = {"context_tokens": 131_072, "context_rule": "trim"}
    async with connected("moonshot", server, **options) as engine:
        assert (await engine.count_tokens(request)).tokens > 300_000
        chunks = await read_chunks(engine, request)
    left = server.estimate(server.requests[0]["messages"])
    assert 120_000 < left <= 130_072
    assert "context_trimmed" in notes_of(chunks)


async def test_provider_that_cannot_estimate_leaves_the_decision_to_its_refusal(server):
    server.estimate_status = 500
    server.window = 5_000
    async with connected("moonshot", server, context_tokens=5_000) as engine:
        error, _ = await fail(engine, long_chat(10))
        chunks = await read_chunks(engine, long_chat(4))
        count = await engine.count_tokens(long_chat(4))
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert "requested" in error.message
    assert "by a bound" in notes_of(chunks)["context_uncertain"]
    assert count.method is CountMethod.BOUND


async def test_refused_length_is_trimmed_by_the_providers_own_numbers(server):
    server.window = 5_000
    async with connected("moonshot", server, context_rule="trim") as engine:
        # The list promises more than the provider then takes: only its refusal tells.
        chunks = await read_chunks(engine, long_chat(10))
    assert len(server.requests) == 2
    assert "context_trimmed" in notes_of(chunks)


async def test_count_includes_tools(server):
    async with connected("moonshot", server) as engine:
        bare = await engine.count_tokens(HELLO)
        full = await engine.count_tokens(HELLO | {"tools": [WEATHER]})
    assert full.tokens > bare.tokens
    assert full.method is CountMethod.PROVIDER


async def test_model_list_tells_context_and_tools(server):
    serve(server, THINKER, "moonshot-v1-8k")
    async with connected("moonshot", server) as engine:
        models = await engine.models()
    assert [(model.id, model.context_tokens, model.tools) for model in models] == [
        (THINKER, 262_144, True),
        ("moonshot-v1-8k", 262_144, True),
    ]
    assert models[0].extra["supports_reasoning"] is True
