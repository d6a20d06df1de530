"""Peers that are stopped, slow, cut off, out of quota or talk rubbish: an answer or one clear error."""

from __future__ import annotations

import asyncio

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import AnswerInterrupted
from meshnode.routing.query import Query
from meshnode.routing.router import Router
from meshnode.serving import desk as desk_module
from meshnode.serving import protocol, remote
from meshnode.transport.base import PeerId
from tests.support.serving_net import (
    LOAD,
    ScriptedEngine,
    answer,
    ask,
    failing,
    gated,
    serving_net,
    until,
)


def freeze(node):
    """As SIGSTOP: its connections stand, and nothing is said on them any more."""

    async def stay_silent(stream):
        await asyncio.Event().wait()

    node.handle_stream = stay_silent


async def test_peer_that_is_stopped_before_it_takes_a_question_is_passed_over(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_FRAME_MS", 500)
    async with serving_net() as net:
        frozen = await net.add("a", ScriptedEngine(model="m"))
        freeze(frozen)
        await net.add("b", ScriptedEngine(model="m"))
        client = await net.add("client")
        names = [(await answer(client)).name for _ in range(3)]
    assert set(names) == {"b"}


async def test_peer_that_is_stopped_in_mid_answer_ends_in_one_clear_error(monkeypatch):
    monkeypatch.setattr(remote, "SILENT_MS", 40)
    monkeypatch.setattr(Router, "stall_timeout_ms", lambda *_: 40)
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        chunk = protocol.encode_frame(
            protocol.Part(b'{"choices":[{"delta":{"content":"Hel"}}]}', last=True)
        )

        async def begin_and_stop(stream):
            await stream.receive()
            await stream.send(protocol.encode_frame(protocol.Queued(0, LOAD)))
            await stream.send(chunk)
            await asyncio.Event().wait()

        host.handle_stream = begin_and_stop
        with pytest.raises(AnswerInterrupted, match="silent for 40 ms") as caught:
            await answer(client)
    assert caught.value.text == "Hel"


async def test_peer_that_only_beats_its_heart_in_mid_answer_has_stalled(monkeypatch):
    monkeypatch.setattr(desk_module, "HEARTBEAT_MS", 5)
    monkeypatch.setattr(remote, "PIECES_MS", 30)
    monkeypatch.setattr(Router, "stall_timeout_ms", lambda *_: 30)
    async with serving_net() as net:
        engine = gated("Hel")
        await net.add("host", engine)
        client = await net.add("client")
        with pytest.raises(AnswerInterrupted, match="stalled: no word for 30 ms"):
            await answer(client)
        await asyncio.wait_for(engine.stopped.wait(), 1)


async def test_peer_of_which_nothing_is_heard_at_all_is_given_up_early(monkeypatch):
    monkeypatch.setattr(remote, "DOUBT_MS", 20)
    monkeypatch.setattr(remote, "LOOK_MS", 10)
    async with serving_net() as net:
        silent = gated()
        await net.add("a", silent)
        client = await net.add("client")
        client.asker.dispatcher.is_dead = lambda peer: True  # type: ignore[method-assign]
        with pytest.raises(EngineError, match="nothing was heard") as caught:
            await answer(client)
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_question_without_a_first_word_goes_elsewhere_in_time(monkeypatch):
    monkeypatch.setattr(desk_module, "HEARTBEAT_MS", 5)
    monkeypatch.setattr("meshnode.serving.question.FIRST_TOKEN_MS", 5)
    async with serving_net() as net:
        await net.add("a", gated(model="m"))
        client = await net.add("client")
        with pytest.raises(EngineError, match="no first word") as caught:
            await answer(client, timeout_ms=1_000)
    assert caught.value.fault is EngineFault.TIMEOUT


async def test_partition_in_mid_answer_ends_in_one_clear_error_with_the_text_so_far():
    async with serving_net() as net:
        engine = gated("Hello")
        host, client = await net.add("host", engine), await net.add("client")
        task = asyncio.create_task(ask(client, timeout_ms=1_000))
        await engine.entered.wait()
        await until(lambda: client.asker.dispatcher.router)
        await asyncio.sleep(0)
        net.memory.cut(PeerId(host.peer), PeerId(client.peer))
        with pytest.raises((AnswerInterrupted, EngineError)) as caught:
            await task
        await asyncio.wait_for(engine.stopped.wait(), 1)
        await until(lambda: host.desk.running == 0)
    assert "\n" not in str(caught.value)


async def test_peer_that_is_out_of_quota_is_an_error_that_says_so():
    quota = EngineError(EngineFault.OUT_OF_QUOTA, "the balance is used up")
    async with serving_net() as net:
        await net.add("a", failing(quota))
        client = await net.add("client")
        with pytest.raises(EngineError, match="balance") as caught:
            await answer(client)
        assert caught.value.fault is EngineFault.OUT_OF_QUOTA
        # It is left alone from now on, without being asked again.
        with pytest.raises(Exception, match="for good"):
            await answer(client)


async def test_peer_that_talks_rubbish_costs_one_attempt_each_and_is_then_avoided():
    async with serving_net() as net:
        liar = await net.add("a", ScriptedEngine(model="m"))

        async def talk_rubbish(stream):
            await stream.receive()
            await stream.send(b"\xc1 rubbish")

        liar.handle_stream = talk_rubbish
        await net.add("b", ScriptedEngine(model="m"))
        client = await net.add("client")
        results = [await answer(client) for _ in range(8)]
    assert {result.name for result in results} == {"b"}
    assert sum(len(result.attempts) for result in results) <= 3


async def test_slow_peer_is_asked_less_once_it_is_known():
    class Slow(ScriptedEngine):
        async def chat(self, request):
            await asyncio.sleep(0.08)
            async for chunk in super().chat(request):
                yield chunk

    async with serving_net() as net:
        await net.add("slow", Slow(model="m", slots=8))
        await net.add("fast", ScriptedEngine(model="m", slots=8))
        client = await net.add("client")
        names = [(await answer(client)).name for _ in range(40)]
    assert names.count("slow") <= 8


def hedge_at_once(monkeypatch, node, before=lambda: None):
    """The router names whoever serves 'n' as the second peer."""
    monkeypatch.setattr(Router, "hedge_delay_ms", lambda *_: 5)
    router = node.asker.dispatcher.router

    def plan_hedge(ticket, *, now_ms, draw):
        before()
        return router.choose(Query(model="n"), now_ms=now_ms, draw=draw)

    monkeypatch.setattr(router, "plan_hedge", plan_hedge)


async def test_second_peer_answers_when_the_first_takes_too_long(monkeypatch):
    slow = gated(model="m")
    async with serving_net() as net:
        host = await net.add("a", slow)
        await net.add("b", ScriptedEngine(model="n"))
        client = await net.add("client")
        hedge_at_once(monkeypatch, client)
        started, *_, finished = await ask(client, model="m")
        await asyncio.wait_for(slow.stopped.wait(), 5)
        await until(lambda: host.desk.running == 0)
    assert started.name == "b"
    assert finished.answer.text == "Hello world"
    assert started.attempts == ("a: slow, another was asked as well",)


async def test_slow_peer_may_still_win_when_the_second_fails(monkeypatch):
    slow = gated(model="m")
    async with serving_net() as net:
        await net.add("a", slow)
        broken = EngineError(EngineFault.INTERNAL, "broken")
        other = failing(broken, model="n")
        await net.add("b", other)
        client = await net.add("client")
        hedge_at_once(monkeypatch, client)
        task = asyncio.create_task(ask(client, model="m"))
        await asyncio.wait_for(other.stopped.wait(), 5)
        slow.gate.set()
        result = (await task)[-1].answer
    assert (result.name, result.text) == ("a", "done")


async def test_second_peer_is_the_last_word_when_both_fail(monkeypatch):
    slow = gated(model="m")
    slow.script[-1] = EngineError(EngineFault.INTERNAL, "too slow")
    async with serving_net() as net:
        await net.add("a", slow)
        await net.add("b", failing(EngineError(EngineFault.INTERNAL, "broken"), model="n"))
        client = await net.add("client")
        hedge_at_once(monkeypatch, client, before=slow.gate.set)
        with pytest.raises(EngineError, match=r"too slow|broken"):
            await answer(client, model="m")


async def test_no_second_peer_is_asked_when_the_router_names_none(monkeypatch):
    monkeypatch.setattr(Router, "hedge_delay_ms", lambda *_: 5)
    engine = gated(model="m")
    async with serving_net() as net:
        await net.add("a", engine)
        client = await net.add("client")
        task = asyncio.create_task(answer(client))
        await engine.entered.wait()
        await asyncio.sleep(0.03)
        engine.gate.set()
        assert (await task).attempts == ()
