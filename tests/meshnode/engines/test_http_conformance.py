"""What every engine behind HTTP promises when its server misbehaves: the same, whoever it is."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from meshnode.engines.base import CountsTokens, EngineFault, Metered
from meshnode.engines.usage import Outcome
from tests.support.chunks import text_of
from tests.support.engine_scene import connected, fail, only_record
from tests.support.engines import ask, read_chunks, read_text
from tests.support.local_server import local_server
from tests.support.moonshot_server import moonshot_server
from tests.support.openai_server import (
    DONE,
    Cut,
    Pause,
    Script,
    chunk,
    event,
    openai_server,
    refusal,
    text,
)
from tests.support.openrouter_server import openrouter_server

SERVERS = {
    "openai_compatible": openai_server,
    "moonshot": moonshot_server,
    "openrouter": openrouter_server,
    "local": local_server,
}
HELLO = ask("Hello")
NEVER = Pause()


@pytest.fixture(params=SERVERS)
def scene(request):
    """A function that starts a server and its engine, whose next answer is a script."""

    @asynccontextmanager
    async def started(*scripts, **options):
        name = request.param
        async with (
            SERVERS[name]() as server,
            connected(name, server, retries_max=0, **options) as engine,
        ):
            server.scripts = list(scripts)
            yield server, engine

    return started


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        (refusal(400, {"error": {"message": "maximum context length is 8"}}), "context_overflow"),
        (refusal(400, {"error": {"type": "content_filter"}}), "content_filter"),
        (refusal(401, {"error": {"message": "no"}}), "unauthorized"),
        (refusal(402, {"error": {"message": "no"}}), "out_of_quota"),
        (refusal(403, {"error": {"message": "no"}}), "forbidden"),
        (refusal(404, {"error": {"message": "no"}}), "model_not_found"),
        (refusal(429, {"error": {"type": "engine_overloaded_error"}}), "overloaded"),
        (refusal(429, {"error": {"type": "rate_limit_reached_error"}}), "rate_limited"),
        (refusal(429, {"error": {"type": "exceeded_current_quota_error"}}), "out_of_quota"),
        (refusal(500, {"error": {"message": "oops"}}), "internal"),
        (refusal(503, {"error": {"message": "oops"}}), "overloaded"),
        (Script([b"<html>504</html>"], 504, "text/html"), "timeout"),
        (Script([b"<html>hi</html>"], 200, "text/html"), "malformed"),
        (Script([Cut()]), "truncated"),
        (Script([]), "truncated"),
        (Script([b"data: {oops\n\n"]), "malformed"),
        (Script([event({"error": {"code": 429}})]), "rate_limited"),
    ],
)
async def test_refusal_has_one_meaning(scene, script, fault):
    async with scene(script) as (server, engine):
        error, chunks = await fail(engine, HELLO)
    assert error.fault == EngineFault(fault)
    assert chunks == []
    assert len(server.requests) == 1
    assert only_record(engine).outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([Cut()], "truncated"),
        ([], "truncated"),
        ([b"data: {oops\n\n"], "malformed"),
        ([event({"error": {"type": "engine_overloaded_error"}})], "overloaded"),
        ([chunk({}, "error", choice={"error": {"code": 502}})], "internal"),
        ([NEVER], "timeout"),
    ],
    ids=["cut", "end", "malformed", "error", "error-choice", "stall"],
)
async def test_text_before_a_loss_is_told_and_the_loss_too(scene, steps, fault):
    async with scene(Script([text("Well"), *steps]), idle_timeout_ms=200) as (_, engine):
        error, chunks = await fail(engine, HELLO)
    assert error.fault == EngineFault(fault)
    assert "".join(map(text_of, chunks)) == "Well"
    assert only_record(engine).outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        (Script(silent=True), {"first_token_timeout_ms": 150}, "its answer"),
        (Script([NEVER]), {"first_token_timeout_ms": 150}, "the first token"),
        (
            Script([chunk({"role": "assistant"}), b": hm\n\n", NEVER]),
            {"first_token_timeout_ms": 150},
            "the first token",
        ),
        (Script([text("a"), NEVER]), {"idle_timeout_ms": 150}, "the next chunk"),
        (Script([text("a"), Pause(20)] * 500), {"total_timeout_ms": 200}, "the next chunk"),
    ],
    ids=["headers", "first-token", "role-only", "idle", "total"],
)
async def test_every_wait_ends_and_says_what_was_waited_for(scene, script, options, words):
    async with scene(script, **options) as (_, engine), asyncio.timeout(10):
        error, _ = await fail(engine, HELLO)
        assert await read_text(engine, HELLO), "the slot is free again"
    assert error.fault is EngineFault.TIMEOUT
    assert f"waiting for {words}" in error.message


@pytest.mark.parametrize(
    "usage_of",
    [
        lambda usage: [chunk({}, "stop", choice={"usage": usage})],
        lambda usage: [chunk({}, "stop", usage=usage)],
        lambda usage: [chunk({}, "stop"), event({"choices": [], "usage": usage})],
        lambda usage: [chunk({}, "stop", usage=usage), chunk({}, None, choice={"index": 0})],
    ],
    ids=["choice", "top", "extra", "early"],
)
async def test_usage_is_in_the_last_chunk_wherever_it_was_sent(scene, usage_of):
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "x_new": {"a": 1}}
    async with scene(Script([text("a"), *usage_of(usage), DONE])) as (_, engine):
        chunks = await read_chunks(engine, HELLO)
    assert chunks[-1]["usage"] == usage
    assert only_record(engine).completion_tokens == 1


async def test_answer_without_a_tail_ends_soon_though_the_line_stays_open(scene, monkeypatch):
    monkeypatch.setattr("meshnode.engines.exchange.TAIL_TIMEOUT_MS", 100)
    async with scene(Script([text("a"), chunk({}, "stop"), NEVER])) as (_, engine):
        async with asyncio.timeout(10):
            assert await read_text(engine, HELLO) == "a"


async def test_unknown_fields_pass_both_ways(scene):
    answered = Script([text("a"), chunk({"x_delta": 1}, "stop", x_top=[2]), DONE])
    async with scene(answered) as (server, engine):
        chunks = await read_chunks(engine, HELLO | {"x_wish": {"deep": [1]}, "meshnode": {"a": 1}})
    assert server.requests[0]["x_wish"] == {"deep": [1]}
    assert chunks[-1]["choices"][0]["delta"]["x_delta"] == 1
    assert chunks[-1]["x_top"] == [2]


async def test_engine_counts_meters_and_keeps_the_key_out_of_sight(scene):
    async with scene() as (_, engine):
        for ability in (CountsTokens, Metered):
            assert isinstance(engine, ability)
        assert (await engine.count_tokens(HELLO)).tokens > 0
        assert not engine.shareable
        assert "0123456789" not in repr(vars(engine))


async def test_client_that_leaves_frees_the_servers_work(scene):
    async with scene(Script([text("a"), NEVER])) as (server, engine):
        answer = engine.chat(HELLO)
        await anext(answer)
        await answer.aclose()
        async with asyncio.timeout(10):
            await server.client_gone.wait()
    assert only_record(engine).outcome is Outcome.CANCELLED
