"""A daily cap refuses before anything is sent, whoever asks and however many ask at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial

import pytest

from meshnode.account_prices import make_price_finder, read_listed_price
from meshnode.engines.base import EngineFault, ModelInfo
from meshnode.engines.pricing import Price
from meshnode.spending import CappedEngine, CapReached, DailyCap, estimate_cost_udollar
from meshnode.usage_store import UsageStore
from tests.support.metered import DAY_MS, NOW_MS, MeteredEngine, make_record

ASK = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 1_000}
COST = estimate_cost_udollar(ASK, Price(prompt=950_000, completion=4_000_000), answer_tokens=0)


@pytest.fixture
def store(tmp_path):
    with UsageStore(tmp_path) as store:
        yield store


def make_capped(store, cap_udollar, engine=None, now_ms=lambda: NOW_MS, **options):
    engine = engine or MeteredEngine()
    cap = DailyCap(store, "moonshot", cap_udollar, now_ms=now_ms)
    engine.meter(cap.count)
    return CappedEngine(
        engine,
        cap,
        make_finder=partial(make_price_finder, engine.name, "international"),
        **{"default_model": "kimi-k2.6", "answer_tokens": 4_096, **options},
    )


async def ask(engine, request=ASK):
    async with aclosing(engine.chat(request)) as chunks:
        return [chunk async for chunk in chunks]


def test_longest_answer_is_reckoned_with():
    assert 4_000 < COST < 4_100
    price = Price(prompt=0, completion=1_000_000)
    assert estimate_cost_udollar({"messages": []}, price, answer_tokens=7) == 7
    asked = {"messages": [], "max_completion_tokens": 9, "max_tokens": 3}
    assert estimate_cost_udollar(asked, price, answer_tokens=7) == 9


async def test_request_that_could_break_the_cap_is_not_sent(store):
    store.record(make_record(cost_udollar=10_000))
    engine = MeteredEngine()
    capped = make_capped(store, 10_000 + COST - 1, engine)
    await capped.start()
    with pytest.raises(CapReached, match="may cost") as caught:
        await ask(capped)
    assert caught.value.fault is EngineFault.OUT_OF_QUOTA
    assert "24 h" in caught.value.hint
    assert engine.asked == []
    await ask(make_capped(store, 10_000 + COST, engine))
    assert len(engine.asked) == 1


async def test_what_was_spent_counts_at_once_and_only_today(store):
    now_ms = NOW_MS
    capped = make_capped(store, COST + 500, now_ms=lambda: now_ms)
    await ask(capped)
    with pytest.raises(CapReached):
        await ask(capped)
    now_ms += DAY_MS
    await ask(capped)


async def test_requests_under_way_count_as_spent(store):
    capped = make_capped(store, 2 * COST + 1)
    under_way = [capped.chat(ASK) for _ in range(2)]
    await asyncio.gather(*(anext(chunks) for chunks in under_way))
    with pytest.raises(CapReached, match="spent or promised"):
        await ask(capped)
    for chunks in under_way:
        await chunks.aclose()


async def test_answer_whose_cost_nobody_told_counts_as_the_estimate(store):
    capped = make_capped(store, 2 * COST - 1, MeteredEngine(tells_usage=False, cost_udollar=None))
    await ask(capped)
    with pytest.raises(CapReached):
        await ask(capped)


async def test_model_without_a_price_is_refused(store):
    capped = make_capped(store, 10**9, default_model="")
    with pytest.raises(CapReached, match="knows what moonshot-v1 costs"):
        await ask(capped, {**ASK, "model": "moonshot-v1"})
    with pytest.raises(CapReached, match="knows what the model costs"):
        await ask(capped)  # not started: nobody knows which model answers
    await capped.start()
    assert len(await ask(capped, {**ASK, "model": "auto"})) == 2
    empty = make_capped(store, 10**9, MeteredEngine(listed=[]), default_model="")
    await empty.start()
    with pytest.raises(CapReached, match="the model"):
        await ask(empty)


async def test_everything_else_is_the_engines_own(store):
    engine = MeteredEngine()
    capped = make_capped(store, 1, engine, default_model="kimi-k3")
    await capped.start()
    assert (capped.name, capped.shareable, capped.slots) == ("moonshot", False, 2)
    assert await capped.models() == engine.listed
    await capped.close()
    assert engine.closed


def make_model(**pricing):
    return ModelInfo(id="moonshotai/kimi-x", extra={"pricing": pricing})


def test_prices_come_from_the_listing_or_the_list():
    listed = make_model(prompt="0.00000095", completion="0.000004", input_cache_read=0.00000016)
    assert read_listed_price(listed) == Price(prompt=950_000, completion=4_000_000, cached=160_000)
    for broken in (
        ModelInfo(id="x"),
        make_model(prompt="free", completion="0"),
        make_model(prompt="-1", completion="0"),
        make_model(prompt=None, completion="0"),
        make_model(prompt="0"),
    ):
        assert read_listed_price(broken) is None
    find = make_price_finder("openrouter", "international", [listed])
    assert find("moonshotai/kimi-x") == read_listed_price(listed)
    assert find("moonshotai/kimi-k2.6") is None
    assert make_price_finder("local", "international")("x") == Price(prompt=0, completion=0)
    assert make_price_finder("moonshot", "china")("kimi-k3") is None
    assert make_price_finder("moonshot", "international")("kimi-k3") is not None
