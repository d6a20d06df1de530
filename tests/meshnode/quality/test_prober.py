"""Probers over real streams and a real market: what they ask, what they report, what follows."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from market.commands import ReportProbes
from market.sla import PROBES_MAX, PROBES_MIN, REPORT_GRACE_MS, WINDOW_MS
from meshnode.engines.base import EngineError, EngineFault, ModelInfo
from meshnode.engines.chunks import delta_chunk
from meshnode.errors import CommandRejected, TransportError
from meshnode.node import open_node
from meshnode.quality import prober as prober_module
from meshnode.quality.prober import Prober, open_prober
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork
from tests.support.market_scene import get_account, make_tiers
from tests.support.serving_net import ScriptedEngine, failing, until
from tests.support.trading_net import BUYER, FIRST, PRICE, SECOND, trading_net

MODEL = "kimi-k2"
PROVIDER = get_account(FIRST)
GOOD = (True,) * PROBES_MAX
BAD = (False,) * PROBES_MAX


@pytest.fixture(autouse=True)
def questions_come_at_once(monkeypatch):
    monkeypatch.setattr(prober_module, "plan_offsets", lambda _left, count, _seed: [0] * count)
    monkeypatch.setattr(prober_module, "LOOK_EVERY_MS", 20)


@pytest.fixture
async def net(tmp_path):
    async with trading_net(tmp_path) as trading, AsyncExitStack() as stack:
        trading.stack = stack  # type: ignore[attr-defined]
        yield trading


def engine(*script: Any, **options: Any) -> ScriptedEngine:
    return ScriptedEngine(script or ("Hello", " world"), **{"model": MODEL, "slots": 8, **options})


async def sell(net, **offer: Any):
    """A provider that has had a contract, so that a window is open."""
    provider = await net.add(FIRST, engine())
    net.scene.make_provider(FIRST)
    net.scene.offer(FIRST, PRICE, 50, **offer)
    buyer = await net.add(BUYER)
    await buyer.answer(**({"sla_bp": 9_500} if offer else {}))
    await net.settle()
    return provider


async def add_prober(net, number: int = 0, *, own: Any = None, spend_uruv: int = 0):
    trader = await net.add(number, own)
    prober = Prober(
        trader.port,
        trader.node,
        trader.buyer,
        find_desk=lambda: trader.node.desk,
        spend_uruv=spend_uruv,
    )
    await net.stack.enter_async_context(open_prober(prober))
    return trader


async def wait_for_report(trader) -> tuple[bool, ...]:
    await until(lambda: trader.said(ReportProbes), timeout_s=30)
    reports: list[ReportProbes] = trader.said(ReportProbes)
    assert [report.provider for report in reports] == [PROVIDER]
    return reports[0].outcomes


async def test_provider_that_answers_is_reported_as_good(net):
    provider = await sell(net)
    trader = await add_prober(net)
    assert await wait_for_report(trader) == GOOD
    asked = provider.node.desk.engine.requests[1:]
    assert len(asked) == PROBES_MAX
    # Nothing marks a canary: these are the fields of anybody's question.
    assert {tuple(sorted(each)) for each in asked} == {
        ("max_tokens", "messages", "model", "temperature")
    }
    assert len({each["messages"][0]["content"] for each in asked}) > PROBES_MAX // 2
    (window,) = net.scene.state.windows.rows.rows()
    assert [report.prober for report in window.reports] == [get_account(0)]


async def test_provider_that_answers_emptily_loses_its_guarantee(net):
    provider = await sell(net, tiers=make_tiers(sla=1))
    provider.node.desk.engine.script = [""]
    traders = [await add_prober(net, number) for number in (0, 1, 2)]
    for trader in traders:
        assert await wait_for_report(trader) == BAD
    net.pass_time(WINDOW_MS + REPORT_GRACE_MS)
    assert "slashed" in net.scene.kinds()
    assert net.scene.state.ledger.get(PROVIDER).bonded < 500_000_000


@pytest.mark.parametrize(
    "error",
    [EngineError(EngineFault.INTERNAL, "broken"), EngineError(EngineFault.BAD_REQUEST, "no")],
)
async def test_provider_that_fails_is_reported_as_bad(net, error):
    provider = await sell(net)
    provider.node.desk.engine.script = failing(error).script
    assert await wait_for_report(await add_prober(net)) == BAD


async def test_provider_that_breaks_off_is_reported_as_bad(net):
    provider = await sell(net)
    provider.node.desk.engine.script = ["Half", EngineError(EngineFault.INTERNAL, "broken")]
    assert await wait_for_report(await add_prober(net)) == BAD


async def test_provider_that_is_gone_is_reported_as_bad(net):
    provider = await sell(net)
    await net.stop(provider)
    assert await wait_for_report(await add_prober(net)) == BAD


async def test_prober_that_sees_nobody_says_nothing(net, monkeypatch):
    await sell(net)
    trader = await net.add(0)
    asked = asyncio.Event()

    async def connect(_: bytes, *, timeout_ms: int) -> None:
        del timeout_ms
        asked.set()

    monkeypatch.setattr(trader.node, "connect", connect)
    monkeypatch.setattr(trader.node, "list_serving_peers", list)
    await run_without_report(net, trader)
    assert asked.is_set()


async def run_without_report(net, trader, **options: Any) -> None:
    """Let a prober do its duty to the end, which is not to say anything."""
    prober = Prober(
        trader.port,
        trader.node,
        trader.buyer,
        find_desk=lambda: None,
        **{"spend_uruv": 0, **options},
    )
    async with open_prober(prober):
        await until(
            lambda: prober._watching and all(t.done() for t in prober._watching.values()),
            timeout_s=30,
        )
        await asyncio.sleep(0)
    assert trader.said(ReportProbes) == []


async def test_question_that_cannot_be_asked_is_not_held_against_anybody(net, monkeypatch):
    await sell(net)
    trader = await net.add(0)

    def refuse(*_: Any, **__: Any) -> Any:
        raise CommandRejected("the node ends")

    monkeypatch.setattr("meshnode.serving.client.check_question", refuse)
    await run_without_report(net, trader)


async def test_node_that_is_ending_holds_that_against_nobody(net, monkeypatch):
    await sell(net)
    trader = await net.add(0)

    async def refuse(_: bytes, *, timeout_ms: int) -> None:
        raise CommandRejected(f"the node ends, whatever is left of {timeout_ms} ms")

    monkeypatch.setattr(trader.node, "connect", refuse)
    await run_without_report(net, trader)


async def test_provider_that_takes_paid_questions_only_is_paid_within_bounds(net):
    provider = await sell(net)
    provider.node.desk._serves_free = False
    await run_without_report(net, await net.add(1))
    before = net.scene.state.ledger.get(get_account(0)).free
    trader = await add_prober(net, spend_uruv=20 * PRICE)
    assert await wait_for_report(trader) == GOOD
    await net.settle()
    spent = before - net.scene.state.ledger.get(get_account(0)).free
    assert 0 < spent <= 20 * PRICE


async def test_answer_of_another_provider_is_not_counted(net):
    provider = await sell(net)
    provider.node.desk._serves_free = False
    await net.add(SECOND, engine(), price=PRICE // 2)
    await run_without_report(net, await net.add(1), spend_uruv=20 * PRICE)


async def test_paid_question_that_fails_is_not_counted(net):
    provider = await sell(net)
    provider.node.desk._serves_free = False
    trader = await net.add(1)
    trader.port.refuses = True
    await run_without_report(net, trader, spend_uruv=20 * PRICE)


async def test_report_that_cannot_be_said_now_is_said_later(net):
    await sell(net)
    trader = await add_prober(net)
    trader.port.refuses = True
    await until(lambda: trader.port.refused > 1, timeout_s=30)
    trader.port.refuses = False
    assert await wait_for_report(trader) == GOOD


async def test_window_that_was_judged_is_left_alone(net, monkeypatch):
    await sell(net)
    later = [0, *[50] * (PROBES_MAX - 1)]
    monkeypatch.setattr(prober_module, "plan_offsets", lambda *_: later)
    trader = await net.add(0)
    prober = Prober(trader.port, trader.node, trader.buyer, find_desk=lambda: None, spend_uruv=0)
    async with open_prober(prober):
        await until(lambda: prober._watching)
        net.pass_time(WINDOW_MS + REPORT_GRACE_MS)
        await until(lambda: not prober._watching)
    assert trader.said(ReportProbes) == []


async def test_window_that_has_ended_is_reported_with_the_fewest_answers_there_may_be(net):
    provider = await sell(net)
    script = provider.node.desk.engine
    script.script = [script.gate, "done"]
    script.entered.clear()
    trader = await add_prober(net)
    await script.entered.wait()
    net.pass_time(WINDOW_MS)
    script.gate.set()
    assert await wait_for_report(trader) == GOOD[:PROBES_MIN]


class TellingEngine(ScriptedEngine):
    """An own model that tells its probabilities, and always says the same words."""

    words = ("Hello", " world", " of", " mine")

    async def chat(self, request):
        last = request["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        for number, word in enumerate((*self.words, "")):
            if len("".join(self.words[: number + 1])) <= len(begun) and word:
                continue
            chunk = delta_chunk("c", MODEL, {"content": word})
            chunk["choices"][0]["logprobs"] = {"content": [{"token": word, "logprob": -0.1}]}
            yield chunk
        asked = " ".join(each["content"] for each in request["messages"])
        yield {"choices": [], "usage": {"prompt_tokens": len(asked.split())}}


async def test_answers_of_other_weights_are_found_out(net):
    provider = await sell(net)
    provider.node.desk.engine.script = ["Not", " our", " words"]
    trader = await add_prober(net, own=TellingEngine(model=MODEL))
    outcomes = await wait_for_report(trader)
    # The first answers are too little to judge by; from then on every one counts.
    assert outcomes[:5] == (True,) * 5
    assert outcomes[-3:] == (False,) * 3


async def test_own_model_that_is_no_measure_changes_nothing(net):
    await sell(net)
    assert await wait_for_report(await add_prober(net, own=engine())) == GOOD


async def test_own_model_with_other_weights_is_not_compared_with(net):
    class Other(TellingEngine):
        async def models(self) -> list[ModelInfo]:
            return [ModelInfo(id=MODEL, revision="r2")]

    provider = await sell(net)
    provider.node.desk.engine.script = ["Not", " our", " words"]
    assert await wait_for_report(await add_prober(net, own=Other(model=MODEL))) == GOOD


async def test_prober_ends_with_the_node(net):
    trader = await net.add(0)

    async def end(on_commit) -> None:
        on_commit()

    trader.port.follow = end
    prober = Prober(trader.port, trader.node, trader.buyer, find_desk=lambda: None, spend_uruv=0)
    async with asyncio.timeout(5):
        await prober.run()


async def test_what_ended_a_prober_is_told(net):
    trader = await net.add(0)

    async def fail(_) -> None:
        raise TransportError("gone")

    trader.port.follow = fail
    prober = Prober(trader.port, trader.node, trader.buyer, find_desk=lambda: None, spend_uruv=0)
    with pytest.raises(ExceptionGroup):
        async with open_prober(prober):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("probe", [True, False])
async def test_node_probes_only_where_it_is_told_to(probe):
    hub = MemoryNetwork()
    async with open_node(engine="none", suite="ed25519", transport=hub, probe=probe):
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert ("probing" in names) is probe


async def test_report_of_a_whole_node_reaches_the_market_of_the_other():
    price_uruv = 100_000
    async with mesh(2, engine=["echo", None], suite="ed25519", mint_ruv=1_000) as nodes:
        seller, buyer = nodes
        for node in nodes:
            await node.market_list("echo")
        await seller.market_attest(
            "echo",
            backend="own_weights",
            terms_digest="00" * 32,
            terms_version="1",
            hardware_digest="00" * 32,
            daily_cap_lots=1_000,
        )
        await seller.wallet_stake(10_000_000)
        await seller.market_offer("echo", price_uruv=price_uruv, lots=50)
        await buyer.ask("hello", max_price_uruv=price_uruv, max_tokens=100)
        assert buyer._room is not None
        assert buyer._buyer is not None
        prober = Prober(
            buyer._room.port, buyer._port, buyer._buyer, find_desk=lambda: None, spend_uruv=0
        )
        rows = seller._runtime.market.windows.rows
        async with open_prober(prober):
            await until(lambda: any(row.reports for row in rows.rows()), timeout_s=60)
        reports = [report for row in rows.rows() for report in row.reports]
        assert [(report.prober.hex(), report.outcomes) for report in reports] == [
            (buyer.author, GOOD)
        ]
