"""The client against a real server on a real socket, most of all where the server misbehaves."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from meshnode.engines.base import EngineError, EngineFault, ModelInfo
from meshnode.engines.exchange import HELD_MAX
from meshnode.engines.registry import create_engine
from tests.support.chunks import text_of
from tests.support.engines import ask, read_chunks, read_text
from tests.support.openai_server import (
    DONE,
    MODEL,
    Cut,
    Pause,
    Script,
    chunk,
    openai_server,
    refusal,
    text,
)

FINISH = chunk({}, "stop")
HELLO = ask("Hello")
NEVER = Pause()


@asynccontextmanager
async def connected(server, **options):
    engine = create_engine("openai_compatible", {"base_url": server.base_url} | options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def error_of(script: Script, **options) -> EngineError:
    async with openai_server(scripts=[script]) as server, connected(server, **options) as engine:
        with pytest.raises(EngineError) as caught:
            await read_chunks(engine, HELLO)
        assert len(server.requests) == 1, "nothing is retried behind the router's back"
        assert "\n" not in str(caught.value)
        return caught.value


async def test_request_goes_out_untouched_but_for_streaming_and_model():
    request = ask("Hello", model="auto", temperature=0.6, x_new={"a": [1]}, stream=False)
    request["stream_options"] = {"x": 1}
    async with openai_server() as server, connected(server, api_key="sk-secret") as engine:
        await read_chunks(engine, request)
    (sent,) = server.requests
    assert sent == request | {
        "model": MODEL,
        "stream": True,
        "stream_options": {"x": 1, "include_usage": True},
    }
    (headers,) = server.request_headers
    assert headers["Authorization"] == "Bearer sk-secret"
    assert headers["Accept-Encoding"] == "identity"


async def test_usage_is_not_asked_for_when_the_server_refuses_the_option():
    async with openai_server() as server, connected(server, ask_usage=False) as engine:
        chunks = await read_chunks(engine, HELLO)
    assert "stream_options" not in server.requests[0]
    assert "Authorization" not in server.request_headers[0]
    assert "usage" not in chunks[-1]


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (refusal(400, {"error": {"message": "context length exceeded"}}), "context_overflow"),
        (refusal(401, {"error": {"message": "no"}}), "unauthorized"),
        (refusal(403, {"error": {"message": "no"}}), "forbidden"),
        (refusal(404, {"error": {"message": "no"}}), "model_not_found"),
        (refusal(413, {"error": {"message": "no"}}), "bad_request"),
        (refusal(429, {"error": {"type": "engine_overloaded_error"}}), "overloaded"),
        (refusal(500, {"error": {"message": "oops"}}), "internal"),
        (Script([b"<html>504</html>"], 504, "text/html"), "timeout"),
        (Script([b"<html>hello</html>"], 200, "text/html"), "malformed"),
        (Script([b"x" * 100_000], 500, "text/plain"), "internal"),
        (Script([b"{", Cut()], 503, "application/json"), "overloaded"),
        (Script([], 302, headers={"Location": "http://127.0.0.1:1/"}), "unreachable"),
        (Script([text("a"), Cut()]), "truncated"),
        (Script([text("a")]), "truncated"),
        (Script([]), "truncated"),
        (Script([text("a"), b'data: {"error": {"code": 429}}\n\n']), "rate_limited"),
        (Script([text("a"), b"data: {oops\n\n"]), "malformed"),
        (Script([b"{oops"], content_type="application/json"), "malformed"),
        (refusal(200, {"error": {"type": "rate_limit_error"}}), "rate_limited"),
    ],
)
async def test_fault_of_the_server_becomes_an_engine_error(script, fault):
    assert (await error_of(script)).fault == EngineFault(fault)


async def test_retry_after_of_the_server_is_kept():
    error = await error_of(refusal(429, {}, **{"Retry-After": "3"}))
    assert error.retry_after_ms == 3_000


async def test_key_is_masked_when_the_server_quotes_it():
    error = await error_of(
        refusal(401, {"error": {"message": "Incorrect key hunter2"}}), api_key="hunter2"
    )
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (Script(silent=True), {"first_token_timeout_ms": 100}),
        (Script([NEVER]), {"first_token_timeout_ms": 100}),
        (Script([text("a"), NEVER]), {"idle_timeout_ms": 100}),
        (Script([text("a"), Pause(20)] * 1_000), {"total_timeout_ms": 150}),
        (Script([b": waiting\n\n", Pause(20)] * 1_000), {"total_timeout_ms": 150}),
        (Script([b"{", NEVER], content_type="application/json"), {"total_timeout_ms": 100}),
    ],
    ids=["headers", "first-byte", "idle", "total", "comments", "json"],
)
async def test_wait_for_the_server_is_bounded(script, options):
    async with asyncio.timeout(5):
        assert (await error_of(script, **options)).fault is EngineFault.TIMEOUT


async def test_wait_for_a_connection_is_bounded():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # Nobody accepts: once the backlog is full, further connections are never answered.
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        engine = create_engine(
            "openai_compatible",
            {"base_url": f"http://127.0.0.1:{address[1]}/v1", "connect_timeout_ms": 100},
        )
        async with asyncio.timeout(5):
            with pytest.raises(EngineError) as caught:
                await engine.start()
        assert caught.value.fault is EngineFault.TIMEOUT
        for sock in waiting:
            sock.close()


async def test_start_fails_as_unreachable_when_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    engine = create_engine("openai_compatible", {"base_url": f"http://127.0.0.1:{port}/v1"})
    with pytest.raises(EngineError, match=f"127.0.0.1:{port}") as caught:
        await engine.start()
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_stream_of_the_server_is_closed_at_once_when_the_iterator_is():
    script = Script([text("a"), NEVER])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        answer = engine.chat(HELLO)
        await anext(answer)
        await answer.aclose()
        async with asyncio.timeout(10):
            await server.client_gone.wait()


async def test_request_without_an_answer_yet_is_cut_when_cancelled():
    async with openai_server(scripts=[Script(silent=True)]) as server, connected(server) as engine:
        task = asyncio.create_task(read_chunks(engine, HELLO))
        await server.asked.wait()
        task.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.client_gone.wait()


async def test_request_without_an_answer_yet_fails_when_the_engine_closes():
    async with openai_server(scripts=[Script(silent=True)]) as server, connected(server) as engine:
        task = asyncio.create_task(read_chunks(engine, HELLO))
        await server.asked.wait()
        await engine.close()
        with pytest.raises(EngineError, match="closed"):
            await task


@pytest.mark.parametrize("end", [[Cut()], [NEVER], []], ids=["cut", "stall", "end"])
async def test_answer_is_whole_when_the_connection_is_lost_after_the_finish(end):
    script = Script([text("a"), FINISH, Pause(20), *end])
    async with (
        openai_server(scripts=[script]) as server,
        connected(server, idle_timeout_ms=200) as engine,
    ):
        assert await read_text(engine, HELLO) == "a"


async def test_answer_ends_with_done_even_when_the_connection_stays_open():
    script = Script([text("a"), FINISH, DONE, NEVER])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        async with asyncio.timeout(10):
            assert await read_text(engine, HELLO) == "a"


async def test_usage_sent_early_still_ends_the_answer():
    usage = {"completion_tokens": 1}
    script = Script([chunk({"content": "a"}, usage=usage), FINISH, DONE])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        chunks = await read_chunks(engine, HELLO)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == usage


async def test_chat_fails_as_unreachable_when_not_started():
    engine = create_engine("openai_compatible", {"base_url": "http://127.0.0.1:1", "model": "m"})
    with pytest.raises(EngineError, match="not connected") as caught:
        await read_chunks(engine, HELLO)
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_answer_is_read_when_bytes_arrive_one_by_one_with_comments():
    raw = b": OPENROUTER PROCESSING\n\n" + text("a") + FINISH.replace(b"\n", b"\r\n") + DONE
    script = Script([raw[i : i + 1] for i in range(len(raw))])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        assert await read_text(engine, HELLO) == "a"


async def test_whole_json_answer_is_accepted_from_a_server_that_does_not_stream():
    choice = {"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}
    script = refusal(200, {"choices": [choice], "usage": {"completion_tokens": 1}})
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        (only,) = await read_chunks(engine, HELLO)
    assert text_of(only) == "hi"
    assert only["usage"] == {"completion_tokens": 1}


async def test_answer_over_its_limit_ends_the_stream():
    script = Script([text("a" * 100)] * 100)
    assert (await error_of(script, answer_bytes_max=1_000)).fault is EngineFault.MALFORMED


async def test_event_over_its_limit_ends_the_stream():
    error = await error_of(Script([b"data: " + b"a" * 5_000]), event_bytes_max=1_000)
    assert error.fault is EngineFault.MALFORMED


async def test_whole_answer_over_its_limit_is_refused():
    script = Script([b" " * 5_000], content_type="application/json")
    error = await error_of(script, answer_bytes_max=1_000)
    assert error.fault is EngineFault.MALFORMED


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": object()}, "JSON"),
        ({"stop": "\ud800"}, "JSON"),
        ({"stream_options": 5}, "stream_options"),
        ({"user": "x" * 1_000}, "bytes"),
    ],
)
async def test_request_that_cannot_be_sent_is_refused_here(fields, word):
    async with openai_server() as server, connected(server, request_bytes_max=500) as engine:
        with pytest.raises(EngineError, match=word) as caught:
            await read_chunks(engine, HELLO | fields)
        assert caught.value.fault is EngineFault.BAD_REQUEST
        assert server.requests == []


async def test_models_are_read_in_the_words_of_several_servers():
    listing = {
        "data": [
            {"id": "vllm", "max_model_len": 4_096, "x": 1},
            {"id": "llama.cpp", "meta": {"n_ctx_train": 8_192}},
            {"id": "kimi", "context_length": 262_144},
            {"id": "plain", "context_length": "much"},
            {"id": ""},
            {"id": "bad\nname"},
            {"name": "none"},
            "text",
        ]
    }
    async with openai_server(models=listing) as server, connected(server) as engine:
        models = await engine.models()
    assert [(model.id, model.context_tokens) for model in models] == [
        ("vllm", 4_096),
        ("llama.cpp", 8_192),
        ("kimi", 262_144),
        ("plain", 0),
    ]
    assert models[0].extra["x"] == 1
    assert not any(model.tools for model in models)


async def test_first_listed_model_answers_requests_that_name_none():
    async with openai_server() as server, connected(server) as engine:
        await read_chunks(engine, HELLO)
    assert server.requests[0]["model"] == MODEL


async def test_request_that_names_no_model_is_refused_when_none_is_known():
    async with openai_server(models={"data": []}) as server, connected(server) as engine:
        with pytest.raises(EngineError, match="no model"):
            await read_chunks(engine, HELLO)


async def test_configured_model_is_enough_when_the_server_has_no_list():
    missing = Script([b"404 page not found"], 404, "text/plain")
    async with (
        openai_server(models_script=missing) as server,
        connected(server, model=MODEL, self_hosted=True) as engine,
    ):
        assert await engine.models() == [ModelInfo(id=MODEL, label=MODEL)]
        assert engine.shareable
        assert await read_text(engine, HELLO)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (Script([b"no"], 404, "text/plain"), EngineFault.MODEL_NOT_FOUND),
        (refusal(401, {}), EngineFault.UNAUTHORIZED),
        (refusal(200, {"data": None}), EngineFault.MALFORMED),
        (refusal(200, {"error": {"type": "overloaded_error"}}), EngineFault.OVERLOADED),
        (refusal(200, [1]), EngineFault.MALFORMED),
        (Script([b"{", Cut()], content_type="application/json"), EngineFault.TRUNCATED),
    ],
)
async def test_start_fails_with_the_fault_of_the_model_list(script, fault):
    async with openai_server(models_script=script) as server:
        with pytest.raises(EngineError) as caught:
            async with connected(server):
                pass
    assert caught.value.fault is fault


async def test_answers_do_not_keep_the_model_list_waiting():
    scripts = [Script([text("a"), NEVER]) for _ in range(2)]
    async with openai_server(scripts=scripts) as server, connected(server, slots=2) as engine:
        answers = [engine.chat(HELLO) for _ in scripts]
        for answer in answers:
            await anext(answer)
        async with asyncio.timeout(10):
            assert await engine.models()
        for answer in answers:
            await answer.aclose()


async def test_conversation_of_another_shape_is_the_servers_to_judge():
    script = Script([text("a"), FINISH, DONE])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        assert await read_text(engine, {"messages": "just text"}) == "a"


async def test_chunks_after_the_finish_are_not_held_without_end():
    tail = [chunk({}, None, choice={"index": 0}) for _ in range(HELD_MAX - 1)]
    script = Script([text("a"), FINISH, *tail, DONE])
    async with openai_server(scripts=[script]) as server, connected(server) as engine:
        assert len(await read_chunks(engine, HELLO)) == HELD_MAX + 1
