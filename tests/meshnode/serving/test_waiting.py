"""A question waits for a peer that comes back or has room again, within its time and no longer."""

from __future__ import annotations

import asyncio
import time

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import NoPeerServes, PeerGone
from meshnode.routing import budget
from meshnode.routing.query import Query
from meshnode.routing.report import ModelOffer, Report
from meshnode.serving import waiting
from meshnode.serving.waiting import ABSENT_MAX, Absent
from tests.support.serving_net import (
    BUSY,
    ScriptedEngine,
    answer,
    ask,
    failing,
    gated,
    serving_net,
    until,
)

SOON = EngineError(EngineFault.OVERLOADED, "busy", retry_after_ms=20)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(waiting, "find_backoff_ms", lambda rests, draw: 10)


async def waits(node) -> None:
    """Until a question of this node waits."""
    await until(lambda: node.followers)


async def test_question_waits_for_the_peer_that_died_with_it_and_is_asked_there_again():
    async with serving_net() as net:
        silent = gated()
        host, client = await net.add("host", silent), await net.add("client")
        task = asyncio.create_task(answer(client))
        await silent.entered.wait()
        await net.stop(host)
        await waits(client)
        await net.add("host", ScriptedEngine())
        result = await task
    assert result.text == "Hello world"
    assert len(result.attempts) == 1


async def test_question_waits_for_a_peer_that_served_the_model_a_moment_ago():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        task = asyncio.create_task(answer(client))
        await waits(client)
        await net.add("host", ScriptedEngine())
        result = await task
    assert result.attempts == ()


async def test_question_for_which_anybody_else_turns_up_is_asked_there():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        task = asyncio.create_task(answer(client))
        await waits(client)
        await net.add("other", ScriptedEngine())
        assert (await task).name == "other"


async def test_question_fails_at_once_when_nobody_has_served_the_model():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        with pytest.raises(NoPeerServes):
            await asyncio.wait_for(answer(client, model="another"), 5)


async def test_question_fails_once_the_peer_has_been_gone_for_long(monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_MS", 5)
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        task = asyncio.create_task(answer(client))
        await waits(client)
        client.clock_offset_ms += waiting.WAIT_MS_MAX
        with pytest.raises(NoPeerServes):
            await asyncio.wait_for(task, 5)


async def test_question_waits_no_longer_than_its_deadline():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        began_s = time.monotonic()
        with pytest.raises(NoPeerServes):
            await answer(client, timeout_ms=100)
        assert 0.1 <= time.monotonic() - began_s < 5


async def test_question_that_waits_is_given_up_at_once_when_who_asks_leaves():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        await net.stop(host)
        task = asyncio.create_task(answer(client))
        await waits(client)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not client.followers)


async def test_question_is_asked_again_where_everybody_was_busy():
    async with serving_net() as net:
        engines = [failing(SOON), failing(SOON)]
        for name, engine in zip("ab", engines, strict=True):
            await net.add(name, engine)
        client = await net.add("client")
        task = asyncio.create_task(ask(client))
        await waits(client)
        for engine in engines:
            engine.script = ["done"]
        result = (await task)[-1].answer
    assert result.text == "done"
    assert len(result.attempts) >= 2


async def test_question_that_asked_three_in_vain_has_a_rest_before_the_fourth(monkeypatch):
    monkeypatch.setattr(waiting, "find_backoff_ms", lambda rests, draw: 300)
    engines = [failing(SOON) for _ in range(4)]
    async with serving_net() as net:
        for name, engine in zip("abcd", engines, strict=True):
            await net.add(name, engine)
        client = await net.add("client")
        task = asyncio.create_task(ask(client))
        await until(lambda: sum(engine.stopped.is_set() for engine in engines) == 3)
        for engine in engines:
            engine.script = ["done"]
        result = (await task)[-1].answer
    assert len(result.attempts) == 3


async def test_question_for_the_own_engine_waits_until_it_has_room(monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_MS", 60_000)
    async with serving_net() as net:
        engine = gated()
        node = await net.add("node", engine)
        others = [asyncio.create_task(answer(node)) for _ in range(3)]
        await until(lambda: node.desk.running + node.desk.queued == 3)
        last = asyncio.create_task(answer(node))
        await waits(node)
        engine.gate.set()
        assert {each.text for each in await asyncio.gather(*others, last)} == {"done"}


async def test_question_fails_at_once_when_everybody_is_busy_for_longer_than_it_lasts():
    async with serving_net() as net:
        await net.add("a", failing(BUSY))
        client = await net.add("client")
        with pytest.raises(EngineError, match="busy") as caught:
            await answer(client, timeout_ms=600)
    assert caught.value.fault is EngineFault.OVERLOADED


async def test_question_whose_retries_are_used_up_waits_for_further_ones(monkeypatch):
    monkeypatch.setattr(waiting, "LOOK_MS", 5)
    monkeypatch.setattr(budget, "RETRIES_MIN", 0)
    async with serving_net() as net:
        await net.add("a", failing(SOON))
        client = await net.add("client")
        task = asyncio.create_task(ask(client))
        await waits(client)
        await asyncio.sleep(0.05)
        assert not task.done()
        monkeypatch.setattr(budget, "RETRIES_MIN", 100)
        net.nodes["peer-a"].desk.engine.script = ["done"]
        assert (await task)[-1].answer.text == "done"


async def test_questions_that_lost_their_peer_need_no_retries_to_go_back_to_it(monkeypatch):
    monkeypatch.setattr(budget, "RETRIES_MIN", 0)
    async with serving_net() as net:
        silent = gated(slots=8)
        host, client = await net.add("host", silent), await net.add("client")
        tasks = [asyncio.create_task(answer(client)) for _ in range(8)]
        await until(lambda: host.desk.running == 8)
        await net.stop(host)
        await waits(client)
        await net.add("host", ScriptedEngine(slots=8))
        answers = await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert {each.text for each in answers} == {"Hello world"}


async def test_question_that_broke_a_replica_waits_for_nobody():
    async with serving_net() as net:
        await net.add("a", failing(EngineError(EngineFault.INTERNAL, "broken")))
        client = await net.add("client")
        with pytest.raises(EngineError, match="broken"):
            await asyncio.wait_for(answer(client), 5)


async def test_question_that_lost_three_replicas_waits_for_no_further_one():
    async with serving_net() as net:
        host = await net.add("host", ScriptedEngine())
        client = await net.add("client")

        async def gone(peer):
            raise PeerGone(f"{peer} is gone")

        client.open_stream = gone  # type: ignore[method-assign]
        with pytest.raises(EngineError, match="3 peers were asked in vain"):
            await asyncio.wait_for(answer(client), 5)
        assert host.peer in client.ready


async def test_question_does_not_wait_where_too_many_do(monkeypatch):
    monkeypatch.setattr(waiting, "WAITING_MAX", 0)
    async with serving_net() as net:
        await net.add("a", failing(SOON))
        client = await net.add("client")
        with pytest.raises(EngineError, match="busy"):
            await asyncio.wait_for(answer(client), 5)


def make_report(**fields) -> Report:
    return Report(**{"sequence": 1, "models": (ModelOffer(id="m"),), "slots": 1, **fields})


def test_absent_peer_is_expected_for_what_it_served_unless_it_said_goodbye():
    absent = Absent()
    absent.add("a", make_report(), now_ms=0)
    absent.add("b", make_report(models=(ModelOffer(id="n"),), draining=True), now_ms=0)
    absent.add("c", make_report(models=(ModelOffer(id="n"),), shareable=False), now_ms=0)
    assert absent.serves(Query(model="m"), now_ms=1)
    assert absent.serves(Query(model="m", peer="a"), now_ms=1)
    assert not absent.serves(Query(model="m", peer="b"), now_ms=1)
    assert not absent.serves(Query(model="n"), now_ms=1)
    assert not absent.serves(Query(model="m"), now_ms=waiting.WAIT_MS_MAX)
    absent.remove("a")
    assert not absent.serves(Query(model="m"), now_ms=1)


def test_absent_peers_are_kept_up_to_a_bound():
    absent = Absent()
    for number in range(ABSENT_MAX + 1):
        absent.add(f"p{number}", make_report(), now_ms=0)
    assert not absent.serves(Query(peer="p0"), now_ms=1)
    assert absent.serves(Query(peer="p1"), now_ms=1)


async def test_question_does_not_wait_for_the_limits_of_an_account():
    limited = EngineError(EngineFault.RATE_LIMITED, "slow down", retry_after_ms=900)
    async with serving_net() as net:
        engine = failing(limited)
        await net.add("a", engine)
        client = await net.add("client")
        for _ in range(2):
            with pytest.raises(EngineError, match=r"slow down|right now"):
                await asyncio.wait_for(answer(client), 5)
    assert len(engine.requests) == 1
