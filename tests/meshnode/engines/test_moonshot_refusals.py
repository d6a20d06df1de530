"""Refusals and losses of the Kimi platform: told apart, retried or not, and remembered."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import CountMethod, EngineError, EngineFault, TokenCount
from meshnode.engines.usage import Outcome
from tests.support.chunks import text_of
from tests.support.engine_scene import connected, fail, only_record
from tests.support.engines import ask, drain, read_text
from tests.support.moonshot_server import INSTRUCT, THINKER, listing, moonshot_server

HELLO = ask("Hello")


@pytest.fixture
async def server():
    async with moonshot_server() as running:
        yield running


def serve(server, *models):
    server.models = listing(*models)


def long_chat(turns):
    history = []
    for number in range(turns):
        history.append({"role": "user", "content": f"{number} " + "x" * 4_000})
        history.append({"role": "assistant", "content": f"Yes {number}."})
    return {"messages": [*history, {"role": "user", "content": "the last"}], "max_tokens": 100}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("overloaded", "overloaded"),
        ("rpm", "rate_limited"),
        ("tpd", "rate_limited"),
        ("quota", "out_of_quota"),
        ("forbidden", "forbidden"),
        ("not_found", "model_not_found"),
        ("filtered", "content_filter"),
        ("overflow", "context_overflow"),
        ("closed", "bad_request"),
        ("server", "internal"),
        ("unexpected", "internal"),
        ("unavailable", "overloaded"),
        ("html_504", "timeout"),
        ("html_200", "malformed"),
        ("cut_at_once", "truncated"),
        ("malformed_at_once", "malformed"),
        ("error_at_once", "internal"),
    ],
)
async def test_fault_is_told_apart(server, fault, expected):
    server.fail_with = [fault]
    async with connected("moonshot", server, retries_max=0) as engine:
        error, chunks = await fail(engine, HELLO)
    assert error.fault == EngineFault(expected)
    assert chunks == []
    record = only_record(engine)
    assert record.outcome is Outcome.FAILED
    assert record.fault == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("error_in_stream", "overloaded"),
        ("cut", "truncated"),
        ("truncated", "truncated"),
        ("malformed", "malformed"),
        ("stall", "timeout"),
        ("stall_with_comments", "timeout"),
    ],
)
async def test_loss_after_the_first_token_is_never_retried(server, fault, expected):
    server.fail_with = [fault]
    async with connected("moonshot", server, idle_timeout_ms=200) as engine:
        error, chunks = await fail(engine, HELLO)
    assert error.fault == EngineFault(expected)
    assert "".join(map(text_of, chunks)) == "Well"
    assert len(server.requests) == 1
    assert only_record(engine).outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize("fault", ["silent", "no_first_token", "comments_only"])
async def test_wait_for_the_first_token_is_bounded_whatever_keeps_the_line_open(server, fault):
    server.fail_with = [fault]
    async with connected("moonshot", server, first_token_timeout_ms=200) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.fault is EngineFault.TIMEOUT
    assert len(server.requests) == 1, "what may still be billed is not asked for twice"


@pytest.fixture
def no_wait(monkeypatch):
    """Waits between attempts are noted and not waited."""
    waits: list[int] = []

    async def pause(self, delay_ms):
        waits.append(delay_ms)

    monkeypatch.setattr("meshnode.engines.slots.SlotGate.pause", pause)
    return waits


@pytest.mark.parametrize(
    "fault", ["overloaded", "server", "unavailable", "html_504", "cut_at_once"]
)
async def test_failure_before_the_first_token_is_retried_and_only_the_answer_is_seen(
    server, fault, no_wait
):
    server.fail_with = [fault, fault]
    async with connected("moonshot", server) as engine:
        assert await read_text(engine, HELLO) == "You said: Hello"
    assert len(server.requests) == 3
    assert len(no_wait) == 2
    assert all(500 <= wait_ms <= 8_000 for wait_ms in no_wait)
    assert only_record(engine).outcome is Outcome.ANSWERED


async def test_retries_end(server, no_wait):
    server.fail_with = ["server"] * 9
    async with connected("moonshot", server) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.fault is EngineFault.INTERNAL
    assert len(server.requests) == 3
    assert len(no_wait) == 2


async def test_retries_keep_to_a_budget_over_all_requests(server, no_wait):
    server.fail_with = ["server"] * 99
    async with connected("moonshot", server) as engine:
        for _ in range(5):
            await fail(engine, HELLO)
    assert len(no_wait) == 3
    assert len(server.requests) == 8


@pytest.mark.parametrize("fault", ["rpm", "quota", "forbidden", "not_found", "filtered", "closed"])
async def test_refusal_is_not_retried(server, fault, no_wait):
    server.fail_with = [fault]
    async with connected("moonshot", server) as engine:
        await fail(engine, HELLO)
    assert len(server.requests) == 1
    assert no_wait == []


async def test_limit_cools_down_every_engine_of_the_account(server):
    server.fail_with = ["rpm"]
    async with connected("moonshot", server) as one, connected("moonshot", server) as other:
        error, _ = await fail(one, HELLO)
        assert error.retry_after_ms == 2_000
        again, _ = await fail(other, HELLO)
    assert again.fault is EngineFault.RATE_LIMITED
    assert again.retry_after_ms is not None
    assert 0 < again.retry_after_ms <= 2_000
    assert "max RPM" in again.message
    assert len(server.requests) == 1


async def test_other_key_and_other_domain_stay_warm(server):
    server.fail_with = ["rpm_bare"]
    async with (
        connected("moonshot", server, quota_domain="a") as one,
        connected("moonshot", server, quota_domain="b") as other,
    ):
        error, _ = await fail(one, HELLO)
        assert error.retry_after_ms is not None
        assert 500 <= error.retry_after_ms <= 1_000
        assert await read_text(other, HELLO)


async def test_daily_limit_ends_with_the_day_of_the_provider(server):
    server.fail_with = ["tpd"]
    async with connected("moonshot", server) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.retry_after_ms is not None
    assert 7_100_000 < error.retry_after_ms <= 7_200_000


async def test_wrong_key_is_refused_at_the_start_and_named_by_service(server):
    with pytest.raises(EngineError) as caught:
        async with connected("moonshot", server, api_key="sk-of-the-other-region"):
            pass
    assert caught.value.fault is EngineFault.UNAUTHORIZED
    assert "not interchangeable" in str(caught.value)
    assert "sk-of-the" not in str(caught.value)


async def test_refused_key_is_not_tried_again(server):
    async with connected("moonshot", server) as engine:
        server.key = "sk-the-old-one-is-revoked"
        first, _ = await fail(engine, HELLO)
        second, _ = await fail(engine, HELLO)
    assert first.fault is second.fault is EngineFault.UNAUTHORIZED
    assert "not interchangeable" in str(first)
    assert "change the configuration" in str(second)
    assert len(server.requests) == 1


async def test_refused_model_is_not_asked_for_again_until_it_is_listed_again(server):
    serve(server, THINKER, INSTRUCT)
    server.fail_with = ["forbidden"]
    async with connected("moonshot", server) as engine:
        await fail(engine, HELLO | {"model": THINKER})
        error, _ = await fail(engine, HELLO | {"model": THINKER})
        assert "choose another model" in str(error)
        assert await read_text(engine, HELLO | {"model": INSTRUCT})
        assert len(server.requests) == 2
        await engine.models()
        assert await read_text(engine, HELLO | {"model": THINKER})


async def test_used_up_balance_switches_off_until_it_changes(server, monkeypatch):
    server.fail_with = ["quota"]
    server.balance = 0.0
    async with connected("moonshot", server) as engine:
        await fail(engine, HELLO)
        error, _ = await fail(engine, HELLO)
        assert error.fault is EngineFault.OUT_OF_QUOTA
        assert error.retry_after_ms is None
        monkeypatch.setattr("meshnode.engines.http_engine.QUOTA_CHECK_MS", 0)
        again, _ = await fail(engine, HELLO)
        assert again.fault is EngineFault.OUT_OF_QUOTA
        server.balance = 5.0
        assert await read_text(engine, HELLO)
    assert len(server.requests) == 2


async def test_request_id_is_told_with_a_refusal(server):
    server.fail_with = ["filtered"]
    async with connected("moonshot", server) as engine:
        error, _ = await fail(engine, HELLO)
    assert error.message.endswith("(request req-1)")
    assert only_record(engine).request_id in {"req-1", ""}


async def test_asker_that_leaves_is_on_the_books_as_cancelled(server):
    server.fail_with = ["stall"]
    async with connected("moonshot", server) as engine:
        answer = engine.chat(HELLO)
        await anext(answer)
        await answer.aclose()
        async with asyncio.timeout(5):
            await server.client_gone.wait()
    assert only_record(engine).outcome is Outcome.CANCELLED


async def test_closing_ends_a_wait_for_a_retry(server):
    server.fail_with = ["server"] * 5
    async with connected("moonshot", server) as engine:
        task = asyncio.create_task(drain(engine.chat(HELLO)))
        await server.asked.wait()
        await engine.close()
        async with asyncio.timeout(5):
            with pytest.raises(EngineError) as caught:
                await task
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_balance_and_estimate_of_another_shape_are_malformed(server, monkeypatch):
    async with connected("moonshot", server) as engine:
        monkeypatch.setattr(server, "balance", "much")
        with pytest.raises(EngineError, match="available_balance"):
            await engine.read_account()
        server.tokens_per_char = -1
        count = await engine.count_tokens(HELLO)
    assert count.method is CountMethod.BOUND


async def test_trimming_gives_up_where_numbers_do_not_help(server):
    server.fail_with = ["overflow", "overflow"]
    async with connected("moonshot", server, context_rule="trim") as engine:
        error, _ = await fail(engine, HELLO)
        again, _ = await fail(engine, HELLO)
    assert error.fault is again.fault is EngineFault.CONTEXT_OVERFLOW
    assert len(server.requests) == 2


async def test_trimming_after_a_refusal_happens_once(server):
    server.fail_with = ["overflow", "overflow"]
    server.window = 1_000
    async with connected("moonshot", server, context_rule="trim") as engine:
        error, _ = await fail(engine, long_chat(10))
    assert error.fault is EngineFault.CONTEXT_OVERFLOW
    assert len(server.requests) == 2


async def test_trimming_stops_when_counts_never_come_down(server, monkeypatch):
    async with connected("moonshot", server, context_tokens=5_000, context_rule="trim") as engine:

        async def stubborn(draft):
            return TokenCount(6_000, CountMethod.PROVIDER)

        monkeypatch.setattr(engine, "count_draft", stubborn)
        error, _ = await fail(engine, long_chat(40))
    assert "even without older turns" in error.message


async def test_balance_that_cannot_be_read_leaves_the_account_off(server, monkeypatch):
    server.fail_with = ["quota"]
    async with connected("moonshot", server) as engine:

        async def broken():
            raise EngineError(EngineFault.INTERNAL, "no balance today")

        monkeypatch.setattr(engine, "read_account", broken)
        monkeypatch.setattr("meshnode.engines.http_engine.QUOTA_CHECK_MS", 0)
        await fail(engine, HELLO)
        error, _ = await fail(engine, HELLO)
    assert error.fault is EngineFault.OUT_OF_QUOTA
