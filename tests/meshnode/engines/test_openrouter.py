"""OpenRouter, against a stand-in after its documentation."""

from __future__ import annotations

import pytest

from meshnode.engines.base import CountMethod, Embeds, EngineError, EngineFault
from meshnode.engines.registry import create_engine
from meshnode.engines.usage import Outcome
from meshnode.errors import ConfigError
from tests.support.chunks import text_of
from tests.support.engine_scene import connected, fail, notes_of, only_record
from tests.support.engines import ask, read_chunks, read_text
from tests.support.openrouter_server import INSTRUCT, OTHER, THINKER, listing, openrouter_server

HELLO = ask("Hello")
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
NO_COMPRESSION = {"id": "context-compression", "enabled": False}


@pytest.fixture
async def server():
    async with openrouter_server() as running:
        yield running


async def test_answer_carries_the_cost_that_openrouter_tells(server):
    async with connected("openrouter", server) as engine:
        chunks = await read_chunks(engine, HELLO)
    record = only_record(engine)
    assert record.cost_udollar == 13  # 0.00001234 dollars, rounded up
    assert (record.cached_tokens, record.request_id) == (8, "gen-1")
    assert chunks[-1]["usage"]["cost"] == 0.00001234
    assert chunks[-1]["meshnode"]["engine"]["cost_udollar"] == 13


async def test_application_is_named_only_where_that_is_set(server):
    async with connected("openrouter", server) as engine:
        await read_chunks(engine, HELLO)
    assert not {"HTTP-Referer", "X-OpenRouter-Title"} & server.request_headers[0].keys()
    named = {"app_url": "https://example.org", "app_title": "Example"}
    async with connected("openrouter", server, **named) as engine:
        await read_chunks(engine, HELLO)
    assert server.request_headers[1]["HTTP-Referer"] == "https://example.org"
    assert server.request_headers[1]["X-OpenRouter-Title"] == "Example"


def test_application_name_that_is_no_header_is_refused():
    with pytest.raises(ConfigError, match="app_title"):
        create_engine("openrouter", {"app_title": "a\r\nX: y"})


async def test_routing_is_the_settings_then_the_requests_own(server):
    provider = {"order": ["moonshotai"], "data_collection": "deny", "allow_fallbacks": False}
    request = HELLO | {"tools": [TOOL], "provider": {"allow_fallbacks": True, "x_new": 1}}
    async with connected("openrouter", server, provider=provider) as engine:
        await read_chunks(engine, request)
    assert server.requests[0]["provider"] == {
        "order": ["moonshotai"],
        "data_collection": "deny",
        "allow_fallbacks": True,
        "require_parameters": True,
        "x_new": 1,
    }


async def test_conversation_is_never_cut_by_openrouter_unless_asked_for(server):
    own = {"plugins": [{"id": "context-compression"}]}
    async with connected("openrouter", server) as engine:
        await read_chunks(engine, HELLO)
        await read_chunks(engine, HELLO | {"plugins": [{"id": "web"}]})
        await read_chunks(engine, HELLO | own)
    sent = [request["plugins"] for request in server.requests]
    assert sent == [[NO_COMPRESSION], [{"id": "web"}, NO_COMPRESSION], own["plugins"]]
    assert "provider" not in server.requests[0]


@pytest.mark.parametrize("field", ["provider", "plugins"])
async def test_field_of_the_wrong_shape_is_refused_here(server, field):
    async with connected("openrouter", server) as engine:
        error, _ = await fail(engine, HELLO | {field: 5})
    assert error.fault is EngineFault.BAD_REQUEST
    assert field in error.message


async def test_reasoning_goes_back_whole_for_a_client_that_dropped_it(server):
    server.models = listing(THINKER)
    asked = [{"role": "user", "content": "call get_weather"}]
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    history = [
        *asked,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ]
    async with connected("openrouter", server) as engine:
        await read_chunks(engine, {"messages": asked, "tools": [TOOL | {}]} | tools())
        chunks = await read_chunks(engine, {"messages": history} | tools())
    sent = server.requests[1]["messages"][1]
    assert sent["reasoning"] == "Hm."
    assert sent["reasoning_details"][0]["text"] == "Hm."
    assert sent["tool_calls"][0]["id"] == "functions.get_weather:0"
    assert "reasoning_missing" not in notes_of(chunks)


def tools():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {
        "tools": [
            {"type": "function", "function": {"name": "get_weather", "parameters": schema}},
        ]
    }


async def test_thinking_is_switched_in_openrouters_words(server):
    server.models = listing(THINKER)
    async with connected("openrouter", server) as engine:
        await read_chunks(engine, HELLO | {"thinking": {"type": "disabled"}})
    assert server.requests[0]["reasoning"] == {"enabled": False}


async def test_other_vendors_model_is_left_alone(server):
    server.models = listing(OTHER)
    request = HELLO | {"temperature": 1.7, "tool_choice": "required", "stop": ["x" * 99]}
    async with connected("openrouter", server) as engine:
        chunks = await read_chunks(engine, request)
        count = await engine.count_tokens(request)
    sent = server.requests[0]
    assert {name: sent[name] for name in request} == request
    assert "max_tokens" not in sent
    assert notes_of(chunks) == {}
    assert count.method is CountMethod.BOUND


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("bad_request", "bad_request"),
        ("credits", "out_of_quota"),
        ("moderation", "content_filter"),
        ("forbidden", "forbidden"),
        ("not_found", "model_not_found"),
        ("timeout", "timeout"),
        ("rate_limit", "rate_limited"),
        ("bad_provider", "internal"),
        ("no_provider", "overloaded"),
        ("html_504", "timeout"),
        ("error_in_200", "internal"),
    ],
)
async def test_fault_is_told_apart(server, fault, expected):
    server.fail_with = [fault]
    async with connected("openrouter", server, retries_max=0) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.fault == EngineFault(expected)


@pytest.mark.parametrize(
    ("fault", "expected"), [("error_in_stream", "internal"), ("error_in_choice", "rate_limited")]
)
async def test_error_inside_a_good_stream_ends_it_after_what_came(server, fault, expected):
    server.fail_with = [fault]
    async with connected("openrouter", server) as engine:
        error, chunks = await fail(engine, HELLO)
    assert error.fault == EngineFault(expected)
    assert "".join(map(text_of, chunks)) == "Well"
    assert only_record(engine).outcome is Outcome.INTERRUPTED


async def test_reset_of_a_limit_is_read_by_the_providers_clock(server):
    server.fail_with = ["rate_limit"]
    async with connected("openrouter", server) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.retry_after_ms == 5_000


async def test_moderated_prompt_does_not_switch_the_model_off(server):
    server.fail_with = ["moderation"]
    async with connected("openrouter", server) as engine:
        await fail(engine, HELLO)
        assert await read_text(engine, HELLO) == "You said: Hello"


async def test_account_tells_the_keys_limits_and_never_the_key(server):
    async with connected("openrouter", server) as engine:
        account = await engine.read_account()
    assert account.available_micro == 7_500_000
    assert account.used_micro == 2_500_000
    assert account.limit_micro == 10_000_000
    assert account.label == ""
    assert account.details["is_free_tier"] is False


async def test_account_without_a_limit_has_no_balance(server):
    server.account |= {"limit": None, "limit_remaining": None, "label": "work"}
    async with connected("openrouter", server) as engine:
        account = await engine.read_account()
    assert (account.available_micro, account.limit_micro, account.label) == (None, None, "work")


async def test_account_of_another_shape_is_malformed(server):
    server.account = None
    async with connected("openrouter", server) as engine:
        with pytest.raises(EngineError) as caught:
            await engine.read_account()
    assert caught.value.fault is EngineFault.MALFORMED


async def test_credits_without_a_known_balance_are_tried_again_after_a_while(server, monkeypatch):
    server.account |= {"limit_remaining": None}
    server.fail_with = ["credits"]
    monkeypatch.setattr("meshnode.engines.http_engine.QUOTA_CHECK_MS", 0)
    async with connected("openrouter", server) as engine:
        await fail(engine, HELLO)
        error, _ = await fail(engine, HELLO)
        assert error.fault is EngineFault.OUT_OF_QUOTA
        monkeypatch.setattr("meshnode.engines.standing.QUOTA_BLIND_MS", 0)
        assert await read_text(engine, HELLO) == "You said: Hello"


async def test_listing_tells_which_models_call_tools(server):
    server.models = listing(OTHER, INSTRUCT)
    async with connected("openrouter", server) as engine:
        listed = await engine.models()
        assert [(model.id, model.tools) for model in listed] == [(INSTRUCT, True), (OTHER, False)]
        await read_chunks(engine, HELLO)
    assert server.requests[0]["model"] == INSTRUCT


async def test_embeddings_pass_through(server):
    async with connected("openrouter", server) as engine:
        assert isinstance(engine, Embeds)
        answer = await engine.embed({"input": ["a"], "dimensions": 2, "meshnode": {}})
    assert answer["data"][0]["embedding"] == [0.5, -0.5]
    assert server.requests == [{"input": ["a"], "dimensions": 2, "model": INSTRUCT}]
