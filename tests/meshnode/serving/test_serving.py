"""Asking and serving over real streams."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from dag.bodies import RESULT_DECODER
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    NoPeerServes,
    PolicyRefused,
    StreamReset,
)
from meshnode.serving import desk as desk_module
from meshnode.serving import protocol, remote
from meshnode.serving.question import Question, encode_request
from meshnode.transport.base import PeerId
from meshnode.views import Delta, Finished, Started
from tests.support.serving_net import (
    REQUEST,
    ScriptedEngine,
    answer,
    ask,
    gated,
    make_ask,
    make_vertex,
    open_raw,
    read_raw,
    serving_net,
    until,
)


async def test_ask_streams_a_peers_answer_and_verifies_its_vertex():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        items = await ask(client)
    started, *deltas, finished = items
    assert isinstance(started, Started)
    assert (started.name, started.model, started.engine) == ("host", "scripted", "scripted")
    assert all(isinstance(delta, Delta) for delta in deltas)
    assert "".join(delta.text for delta in deltas) == "Hello world"
    assert isinstance(finished, Finished)
    result = finished.answer
    assert result.text == "Hello world"
    assert result.verified
    assert not result.local
    assert result.author == host.author.hex()
    assert result.usage.prompt_tokens == 2
    assert result.finish_reason == "stop"
    body = RESULT_DECODER.decode(host.published[0].vertex.body)
    assert (body.answer, body.requester, body.model_revision) == (
        "Hello world",
        client.author,
        "r1",
    )
    assert host.published[0].id.hex() == result.vertex


async def test_ask_uses_the_own_engine_on_the_same_path():
    async with serving_net() as net:
        node = await net.add("solo", ScriptedEngine(shareable=False))
        result = await answer(node, share="digest")
    assert result.local
    assert result.verified
    assert result.share == "digest"
    assert RESULT_DECODER.decode(node.published[0].vertex.body).answer == ""


async def test_ask_carries_a_long_question_and_a_long_chunk():
    long_text = "x" * 200_000
    async with serving_net() as net:
        engine = ScriptedEngine([long_text])
        host = await net.add("host", engine)
        client = await net.add("client")
        result = await answer(client)
        question = Question(request={"messages": [{"role": "user", "content": long_text}]})
        host.blobs_full = True
        async with aclosing(client.asker.stream(question)) as items:
            last: Any = [item async for item in items][-1]
    assert result.text == long_text
    assert (result.share, result.verified) == ("full", True)
    assert host.blobs == [long_text.encode()]
    assert (last.answer.share, last.answer.verified) == ("digest", True)
    assert engine.requests[-1]["messages"][0]["content"] == long_text


async def test_foreign_question_fails_when_the_only_engine_serves_its_owner():
    async with serving_net() as net:
        engine = ScriptedEngine(shareable=False)
        host, client = await net.add("host", engine), await net.add("client")
        with pytest.raises(PolicyRefused, match="serves its owner only"):
            await answer(client)
        # Nor does it help to ask although nothing is advertised.
        stream = await open_raw(client, host)
        await stream.send(protocol.encode_frame(make_ask()))
        await stream.send(protocol.encode_frame(protocol.AskPart(b"{}")))
        frames = await read_raw(stream)
    assert [frame.fault for frame in frames] == [EngineFault.FORBIDDEN]
    assert "owner only" in frames[0].message
    assert engine.requests == []
    assert host.published == []


async def test_peer_without_engine_refuses_politely():
    async with serving_net() as net:
        host, client = await net.add("host"), await net.add("client")
        stream = await open_raw(client, host)
        await stream.send(protocol.encode_frame(make_ask()))
        frames = await read_raw(stream)
    assert [frame.fault for frame in frames] == [EngineFault.MODEL_NOT_FOUND]


async def test_stranger_gets_a_reset_and_nothing_else():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.ready.clear()
        stream = await open_raw(client, host)
        with pytest.raises(StreamReset):
            await read_raw(stream)
        host.ready.append(client.peer)
        assert host.offences == []


async def test_cancellation_stops_the_engine_and_frees_the_slot():
    async with serving_net() as net:
        engine = gated("first")
        host, client = await net.add("host", engine), await net.add("client")
        task = asyncio.create_task(ask(client))
        await engine.entered.wait()
        task.cancel()
        async with asyncio.timeout(10):
            await engine.stopped.wait()
            await until(lambda: host.desk.running == 0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert host.published == []
        assert client.asker.outstanding == 0


async def test_leaving_the_iterator_stops_the_engine():
    async with serving_net() as net:
        engine = gated("first")
        host, client = await net.add("host", engine), await net.add("client")
        async with aclosing(client.asker.stream(Question(request=REQUEST))) as items:
            assert isinstance(await anext(items), Started)
        async with asyncio.timeout(10):
            await engine.stopped.wait()
        await until(lambda: host.desk.running == 0)


async def test_cancel_frame_stops_the_engine():
    async with serving_net() as net:
        engine = gated("first")
        host, client = await net.add("host", engine), await net.add("client")
        stream = await open_raw(client, host)
        await stream.send(protocol.encode_frame(make_ask()))
        await stream.send(protocol.encode_frame(protocol.AskPart(b"{}")))
        await engine.entered.wait()
        await stream.send(protocol.encode_frame(protocol.Cancel()))
        async with asyncio.timeout(10):
            await engine.stopped.wait()
        assert host.offences == []


async def test_loss_of_the_asker_stops_the_engine():
    async with serving_net() as net:
        engine = gated("first")
        host, client = await net.add("host", engine), await net.add("client")
        task = asyncio.create_task(ask(client, timeout_ms=1_000))
        await engine.entered.wait()
        client.transport.lose(PeerId(host.peer))
        async with asyncio.timeout(10):
            await engine.stopped.wait()
        with pytest.raises((AnswerInterrupted, NoPeerServes, EngineError)):
            await task


async def test_further_questions_are_refused_when_the_queue_is_full():
    async with serving_net() as net:
        engine = gated()
        host, client = await net.add("host", engine), await net.add("client")
        tasks = [asyncio.create_task(ask(client)) for _ in range(3)]
        await until(lambda: host.desk.queued == 2)
        with pytest.raises(EngineError, match="1 requests run and 2 wait") as caught:
            await answer(client, timeout_ms=400)
        assert caught.value.fault is EngineFault.OVERLOADED
        assert caught.value.retry_after_ms is not None
        engine.gate.set()
        results = await asyncio.gather(*tasks)
    assert [items[-1].answer.text for items in results] == ["done"] * 3


async def test_load_is_advertised_while_it_changes():
    async with serving_net() as net:
        engine = gated()
        host, client = await net.add("host", engine), await net.add("client")
        task = asyncio.create_task(ask(client))
        await until(lambda: host.adverts[-1].running == 1)
        engine.gate.set()
        await task
        await until(lambda: host.adverts[-1].running == 0)
        await host.desk.drain()
        assert host.adverts[-1].draining
        with pytest.raises(NoPeerServes, match="draining"):
            await answer(client)
        stream = await open_raw(client, host)
        await stream.send(protocol.encode_frame(make_ask()))
        assert (await read_raw(stream))[0].fault == EngineFault.OVERLOADED


async def test_question_ends_at_its_deadline():
    async with serving_net() as net:
        engine = gated()
        host, client = await net.add("host", engine), await net.add("client")
        with pytest.raises(DeadlineExceeded):
            await answer(client, timeout_ms=50)
        await until(lambda: host.desk.running == 0)
        assert engine.stopped.is_set()


async def test_own_question_ends_at_its_deadline_in_the_queue_and_while_it_runs():
    async with serving_net() as net:
        node = await net.add("solo", gated())
        results = await asyncio.gather(
            answer(node, timeout_ms=50), answer(node, timeout_ms=30), return_exceptions=True
        )
        assert [type(result) for result in results] == [DeadlineExceeded] * 2
        assert (node.desk.running, node.desk.queued) == (0, 0)


async def test_asker_hears_heartbeats_while_it_waits(monkeypatch):
    monkeypatch.setattr(desk_module, "HEARTBEAT_MS", 10)
    async with serving_net() as net:
        engine = gated()
        host, client = await net.add("host", engine), await net.add("client")
        first = asyncio.create_task(ask(client))
        await engine.entered.wait()
        stream = await open_raw(client, host)
        await stream.send(protocol.encode_frame(make_ask()))
        await stream.send(protocol.encode_frame(protocol.AskPart(b"{}")))
        waiting: list[Any] = [
            protocol.decode_answer_frame(await stream.receive()) for _ in range(3)
        ]
        engine.gate.set()
        rest = await read_raw(stream)
        await first
    assert [frame.position for frame in waiting] == [1, 1, 1]
    assert [frame.load.queued for frame in waiting] == [1, 1, 1]
    assert 0 in [frame.position for frame in rest if isinstance(frame, protocol.Queued)]
    assert isinstance(rest[-1], protocol.Done)


async def test_question_fails_over_when_a_peer_is_silent(monkeypatch):
    monkeypatch.setattr(remote, "SILENT_MS", 30)
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        hold = asyncio.Event()

        async def stay_silent(stream):
            await hold.wait()

        host.handle_stream = stay_silent
        with pytest.raises(EngineError, match="silent") as caught:
            await answer(client)
        hold.set()
    assert caught.value.fault is EngineFault.UNREACHABLE


async def test_question_names_what_is_served_when_nobody_serves_the_model():
    async with serving_net() as net:
        await net.add("host", ScriptedEngine(model="small"))
        client = await net.add("client")
        with pytest.raises(NoPeerServes, match=r"'big'.*host: serves small"):
            await answer(client, model="big")


async def test_question_says_so_when_there_is_nobody():
    async with serving_net() as net:
        client = await net.add("client")
        with pytest.raises(NoPeerServes, match="no peer is connected"):
            await answer(client)


async def test_question_goes_to_the_peer_that_was_named():
    async with serving_net() as net:
        hosts = [await net.add(name, ScriptedEngine()) for name in ("a", "b")]
        client = await net.add("client")
        for wanted in (hosts[1].peer, hosts[1].author.hex()[:10], "b"):
            assert (await answer(client, peer=wanted)).name == "b"
        with pytest.raises(NoPeerServes, match="called 'x'"):
            await answer(client, peer="x")
        net.nodes[hosts[0].peer].name = "b"
        with pytest.raises(CommandRejected, match="2 peers"):
            await answer(client, peer="b")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"timeout_ms": 0}, "time-out"),
        ({"knowledge": (bytes(32),) * 7}, "builds on 7"),
    ],
)
async def test_question_is_rejected_when_it_breaks_a_limit(options, reason):
    async with serving_net() as net:
        client = await net.add("client", ScriptedEngine())
        with pytest.raises(CommandRejected, match=reason):
            await answer(client, **options)


@pytest.mark.parametrize(
    ("request_object", "reason"),
    [({"x": object()}, "not JSON"), ({"x": "y" * protocol.REQUEST_BYTES_MAX}, "bytes where")],
)
def test_question_is_rejected_when_it_cannot_be_sent(request_object, reason):
    with pytest.raises(CommandRejected, match=reason):
        encode_request(request_object)


async def test_result_has_the_knowledge_it_builds_on_as_parents():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        note = make_vertex(client.author)
        with pytest.raises(EngineError, match="builds on"):
            await answer(client, knowledge=(note.id,))
        net.store[note.id] = note
        assert (await answer(client, knowledge=(note.id,))).verified
        assert len(host.published) == 1


async def test_answer_is_not_verified_when_its_vertex_does_not_come():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.withheld = True
        assert not (await answer(client)).verified


async def test_answer_fails_when_its_result_cannot_be_published():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        host.refuses_to_publish = True
        with pytest.raises(AnswerInterrupted, match="queue of own vertices") as caught:
            await answer(client)
    assert caught.value.text == "Hello world"
