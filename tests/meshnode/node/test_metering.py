"""What a node's engine uses is in the books of its home, and a daily cap holds for it too."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from meshnode.config import NodeConfig
from meshnode.engines.echo import EchoEngine
from meshnode.node import metering
from meshnode.node.metering import meter_engine
from meshnode.spending import CapReached
from meshnode.usage_store import UsageStore
from tests.support.metered import NOW_MS, MeteredEngine

ASK = {"messages": [{"role": "user", "content": "Why?"}], "max_tokens": 1_000}


async def ask(engine):
    return [chunk async for chunk in engine.chat(ASK)]


async def test_requests_are_written_down_when_the_node_has_ended(tmp_path):
    async with AsyncExitStack() as stack:
        config = NodeConfig(home=tmp_path)
        engine = MeteredEngine()
        assert await meter_engine(engine, config, stack) is engine
        await ask(engine)
    with UsageStore(tmp_path) as store:
        assert [row.requests for row in store.read_sums()] == [1]


async def test_cap_of_the_account_holds_for_the_node(tmp_path, monkeypatch):
    monkeypatch.setattr(metering, "_read_clock_ms", lambda: NOW_MS)
    async with AsyncExitStack() as stack:
        config = NodeConfig(home=tmp_path, daily_cap_udollar=2_000)
        engine = await meter_engine(MeteredEngine(), config, stack)
        await engine.start()
        with pytest.raises(CapReached):
            await ask(engine)
        config = NodeConfig(home=tmp_path, daily_cap_udollar=5_000)
        engine = await meter_engine(MeteredEngine(), config, stack)
        await engine.start()
        await ask(engine)
        with pytest.raises(CapReached):
            await ask(engine)


async def test_cap_is_not_for_engines_that_cost_nothing(tmp_path):
    async with AsyncExitStack() as stack:
        config = NodeConfig(home=tmp_path, daily_cap_udollar=0)
        local = MeteredEngine(name="local")
        assert await meter_engine(local, config, stack) is local
        assert await meter_engine(local, NodeConfig(), stack) is local
        echo = EchoEngine()
        assert await meter_engine(echo, config, stack) is not None
