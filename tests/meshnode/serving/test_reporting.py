"""What a serving node says of itself: numbered, repeated while it serves, with its engine's memory."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import EngineError, EngineFault, LoadSignals
from meshnode.serving import reporting
from meshnode.serving.desk import Desk
from tests.support.serving_net import ScriptedEngine, answer, serving_net, until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(reporting, "REFRESH_PERIOD_MS", 2)
    monkeypatch.setattr(reporting, "REPEAT_PERIOD_MS", 2)
    monkeypatch.setattr(reporting, "ADVERT_PERIOD_MS", 1)
    monkeypatch.setattr(reporting, "ENGINE_LOAD_EVERY_MS", 0)


class FullEngine(ScriptedEngine):
    """Tells how full it is, or fails to."""

    signals = LoadSignals(kv_usage_permille=250)
    fails = False
    looks = 0

    async def read_load(self) -> LoadSignals:
        self.looks += 1
        if self.fails:
            raise EngineError(EngineFault.UNREACHABLE, "no metrics")
        return self.signals


async def test_load_is_said_again_while_something_is_served():
    async with serving_net() as net:
        host = await net.add("host", ScriptedEngine())
        await until(lambda: len(host.adverts) > 5)
        sequences = [advert.sequence for advert in host.adverts]
    assert sequences == sorted(set(sequences))
    assert len({advert.incarnation for advert in host.adverts}) == 1
    assert host.adverts[-1].draining


async def test_load_that_stays_is_said_again_less_often_than_it_is_looked_at(monkeypatch):
    monkeypatch.setattr(reporting, "REPEAT_PERIOD_MS", 3_600_000)
    engine = FullEngine()
    async with serving_net() as net:
        host = await net.add("host", engine)
        await until(lambda: host.adverts[-1].kv_usage_bp == 2_500)
        said = len(host.adverts)
        looks = engine.looks
        await until(lambda: engine.looks > looks + 5)
        assert len(host.adverts) == said
        engine.signals = LoadSignals(kv_usage_permille=500)
        await until(lambda: len(host.adverts) > said)
        assert host.adverts[-1].kv_usage_bp == 5_000


@pytest.mark.parametrize("options", [{"shareable": False}, {}])
async def test_nothing_is_said_again_where_nothing_is_offered(options):
    async with serving_net() as net:
        host = await net.add("host")
        host.desk = Desk(ScriptedEngine(**options), host, serves_free=False)
        await host.desk.start()
        host.desk.reporter._changed.set()
        await until(lambda: len(host.adverts) == 2)
        assert [(advert.models, advert.slots) for advert in host.adverts] == [((), 0)] * 2
        assert host.adverts[0].shareable == options.get("shareable", True)


async def test_reports_hold_how_full_the_engine_is():
    engine = FullEngine()
    async with serving_net() as net:
        host, client = await net.add("host", engine), await net.add("client")
        await until(lambda: host.adverts[-1].kv_usage_bp == 2_500)
        engine.signals = LoadSignals(kv_usage_permille=2_000)
        await until(lambda: host.adverts[-1].kv_usage_bp == 10_000)
        engine.fails = True
        seen = len(host.adverts)
        await until(lambda: len(host.adverts) > seen + 2)
        assert host.adverts[-1].kv_usage_bp == 10_000
        engine.fails, engine.signals = False, LoadSignals()
        assert (await answer(client)).text == "Hello world"
    assert host.desk.reporter.make_own_report().kv_usage_bp == 10_000


async def test_reports_count_what_others_have_asked_of_the_engine():
    engine = FullEngine(slots=4)
    engine.signals = LoadSignals(running=3, waiting=0)
    async with serving_net() as net:
        host = await net.add("host", engine)
        await until(lambda: (host.adverts[-1].running, host.adverts[-1].queued) == (3, 0))
        engine.signals = LoadSignals(running=4, waiting=2)
        await until(lambda: (host.adverts[-1].running, host.adverts[-1].queued) == (4, 2))
        engine.script = [engine.gate]
        engine.signals = LoadSignals(running=2, waiting=0)
        task = asyncio.create_task(answer(host))
        await until(lambda: host.desk.running == 1 and host.adverts[-1].running == 2)
        engine.gate.set()
        await task
    assert host.adverts[-1].queued == 0


async def test_engine_is_asked_for_its_load_once_a_second_at_most(monkeypatch):
    monkeypatch.setattr(reporting, "ENGINE_LOAD_EVERY_MS", 60_000)
    engine = FullEngine()
    async with serving_net() as net:
        host = await net.add("host", engine)
        await until(lambda: host.adverts[-1].kv_usage_bp == 2_500)
        engine.signals = LoadSignals(kv_usage_permille=500)
        seen = len(host.adverts)
        await until(lambda: len(host.adverts) > seen + 2)
        assert host.adverts[-1].kv_usage_bp == 2_500
