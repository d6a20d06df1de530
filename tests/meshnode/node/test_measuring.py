"""Questions are counted however they end."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import NoPeerServes
from meshnode.node.measuring import QuestionMeter
from meshnode.testing import mesh
from meshnode.views import Delta, Finished, Payment, Usage
from tests.support.fake_node import ANSWER, STARTED

PAID = Payment(
    contract="c",
    provider="p",
    provider_name="p",
    price_uruv=1,
    lots=1,
    tokens_in=1,
    tokens_out=1,
    tokens_billed=2,
    cost_uruv=70,
    receipts=1,
    transcript_root="t",
)


def answer(**changes):
    usage = Usage(prompt_tokens=3, completion_tokens=5)
    return replace(ANSWER, model="echo", usage=usage, total_ms=240, first_token_ms=30, **changes)


def ask(meter, *items, error=None):
    with meter.watch() as watched:
        for item in items:
            watched.note(item)
        if error is not None:
            raise error


def test_an_answered_question_counts_with_its_time_tokens_and_cost():
    meter = QuestionMeter()
    ask(meter, STARTED, Delta(text="x", chunk={}), Finished(answer=answer(payment=PAID)))
    ask(meter, STARTED, Finished(answer=answer()))
    found = meter.read()
    assert found.ended == [(("echo", "ok"), 2)]
    assert found.tokens == [(("echo", "in"), 6), (("echo", "out"), 10)]
    assert (found.duration.sum_ms, found.first_token.sum_ms) == (480, 60)
    assert found.spent_uruv == 70


@pytest.mark.parametrize(
    ("items", "error", "label"),
    [
        ((), NoPeerServes("nobody"), ("none", "no_peer_serves")),
        ((STARTED,), EngineError(EngineFault.RATE_LIMITED, "slow"), ("echo", "rate_limited")),
        ((STARTED,), asyncio.CancelledError(), ("echo", "cancelled")),
        ((), GeneratorExit(), ("none", "cancelled")),
        ((STARTED, Finished(answer=answer())), GeneratorExit(), ("echo", "ok")),
        ((), ZeroDivisionError(), ("none", "failed")),
    ],
)
def test_every_end_has_its_outcome(items, error, label):
    meter = QuestionMeter()
    with pytest.raises(type(error)):
        ask(meter, *items, error=error)
    assert meter.read().ended == [(label, 1)]
    assert (meter.read().running, meter.read().waiting) == (0, 0)


async def test_questions_under_way_are_waited_for_but_not_for_ever():
    meter = QuestionMeter()
    await meter.wait_quiet(timeout_ms=1)
    with meter.watch() as watched:
        assert (meter.read().running, meter.read().waiting) == (0, 1)
        watched.note(STARTED)
        assert (meter.read().running, meter.read().waiting) == (1, 0)
        await meter.wait_quiet(timeout_ms=1)
        waiting = asyncio.create_task(meter.wait_quiet(timeout_ms=60_000))
    await waiting


async def test_a_node_measures_what_is_asked_and_answered():
    async with mesh(2, engine=["echo", None], suite="ed25519", mint_ruv=3) as (served, asking):
        vertex = (await asking.ask("hello there")).vertex
        assert (await served.finality(vertex, wait_ms=20_000)).final
        with pytest.raises(NoPeerServes):
            await asking.ask("x", model="kimi")
        asked, work = asking.readings(), served.readings().work
        assert dict(asked.questions.ended) == {("echo", "ok"): 1, ("none", "no_peer_serves"): 1}
        assert asked.work.answers == []
        assert work.answers == [(("echo", "peer"), 1)]
        assert dict(work.tokens) == dict(asked.questions.tokens)
        assert work.commit_latency.counts[-1] >= 1
        assert asked.market.money_uruv["free"] == 3_000_000
        assert asked.market.orders == {"bid": 0, "offer": 0}
        assert asked.telemetry["counters"]["vertices_admitted"] >= 1
