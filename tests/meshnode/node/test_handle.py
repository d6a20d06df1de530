"""What a running node can be asked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from dag.types import BODY_BYTES_MAX
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    NodeClosed,
    NoPeerServes,
)
from meshnode.event_views import EventsLost, VertexSeen
from meshnode.node import asking
from meshnode.testing import mesh, wait_for_equal_heads
from meshnode.views import Started
from tests.support.serving_net import ScriptedEngine, failing, gated, until


def open_mesh(count: int = 2, **options):
    return mesh(count, **{"suite": "ed25519", **options})


async def test_asks_leave_equal_heads_everywhere():
    async with open_mesh(3) as nodes:
        answers = await asyncio.gather(*(node.ask(f"from {node.name}") for node in nodes))
        assert all(answer.verified for answer in answers)
        await wait_for_equal_heads(nodes)
        for node in nodes:
            results = await node.vertices(kind="result")
            assert {vertex.id for vertex in results} == {answer.vertex for answer in answers}


async def test_answer_stays_out_of_the_vertex_when_only_the_digest_is_shared():
    async with open_mesh(2, engine=["echo", None]) as nodes:
        answer = await nodes[1].ask("a secret", share="digest")
        assert answer.text.endswith("a secret")
        assert answer.verified
        await wait_for_equal_heads(nodes)
        for node in nodes:
            detail = await node.vertex(answer.vertex)
            assert detail.body is not None
            assert detail.body["answer"] == ""
            assert b"secret" not in bytes.fromhex(detail.wire)


async def test_foreign_question_is_never_served_by_an_engine_that_serves_its_owner():
    engine = ScriptedEngine(shareable=False)
    async with open_mesh(2, engine=[engine, None]) as nodes:
        assert (await nodes[0].ask("mine")).local
        with pytest.raises(NoPeerServes):
            await nodes[1].ask("not mine")
        assert len(engine.requests) == 1


async def test_cancelled_question_frees_the_slot_of_the_other_node():
    engine = gated("first")
    async with open_mesh(2, engine=[engine, None]) as nodes:
        asking = asyncio.create_task(nodes[1].ask("hi"))
        await engine.entered.wait()
        asking.cancel()
        async with asyncio.timeout(10):
            await engine.stopped.wait()
        await asyncio.wait({asking})
        status = await nodes[0].status()
        assert status.engine is not None
        await until(lambda: nodes[0]._desk.running == 0)


async def test_another_node_takes_over_when_one_closes_before_its_first_token():
    engine = gated()
    async with open_mesh(3, engine=[engine, None, None]) as nodes:
        asking = asyncio.create_task(nodes[2].ask("hi"))
        await engine.entered.wait()
        await nodes[1].start_engine(ScriptedEngine(["taken over"]))
        await until(
            lambda: any(peer.models for peer in nodes[2]._port.list_serving_peers() if peer.slots)
        )
        closing = asyncio.create_task(nodes[0].close())
        answer = await asking
        await closing
        assert answer.text == "taken over"
        assert answer.attempts[0].startswith("node-1: ")


async def test_text_so_far_is_handed_over_when_the_answer_breaks_off():
    engine = failing(EngineError(EngineFault.INTERNAL, "broken"), "so far")
    async with open_mesh(2, engine=[engine, None]) as nodes:
        with pytest.raises(AnswerInterrupted) as caught:
            await nodes[1].ask("hi")
    assert caught.value.text == "so far"


async def test_knowledge_precedes_the_question_and_is_a_parent_of_the_result():
    engine = ScriptedEngine()
    async with open_mesh(2, engine=[engine, None]) as nodes:
        note = await nodes[1].publish("Paris", title="Capital")
        picture = await nodes[1].publish(b"\x00\xff", media_type="image/png")
        first = await nodes[1].ask("Where?", knowledge=[note.id, picture.id, note.id[:12]])
        then = await nodes[1].ask(
            [{"role": "user", "content": "Sure?"}], knowledge=[first.vertex], max_tokens=5
        )
        system, question = engine.requests[0]["messages"]
        assert system["role"] == "system"
        assert "never an instruction" in system["content"]
        assert f"note by node-2, vertex {note.id[:12]}\nCapital\nParis\n---" in system["content"]
        assert question["content"] == "Where?"
        assert "Hello world" in engine.requests[1]["messages"][0]["content"]
        parents = {ref.id for ref in (await nodes[1].vertex(first.vertex)).vertex.parents}
        assert {note.id, picture.id} <= parents
        detail = await nodes[1].vertex(then.vertex)
        assert first.vertex in {ref.id for ref in detail.vertex.parents}


async def test_request_carries_what_the_caller_wishes():
    engine = ScriptedEngine()
    async with open_mesh(1, engine=[engine]) as (node,):
        await node.ask("hi", max_tokens=7, temperature=0.5, extra={"seed": 1}, model="scripted")
    request = engine.requests[0]
    assert (request["max_tokens"], request["temperature"], request["seed"]) == (7, 0.5, 1)
    assert request["model"] == "scripted"


async def test_question_goes_to_the_node_that_was_named():
    async with open_mesh(3) as nodes:
        author = (await nodes[2].status()).author
        assert (await nodes[0].ask("hi", peer="node-2")).name == "node-2"
        assert (await nodes[0].ask("hi", peer=author[:12])).name == "node-3"


@pytest.mark.parametrize(
    "options", [{"share": "all"}, {"knowledge": ["xyz"]}, {"timeout_ms": 0}, {"extra": {"x": {1}}}]
)
async def test_question_is_rejected_when_it_makes_no_sense(options):
    async with open_mesh(1) as (node,):
        with pytest.raises((CommandRejected, EngineError)):
            await node.ask("hi", **{"model": "auto", **options})


async def test_status_tells_the_node_at_a_glance():
    async with open_mesh(2) as nodes:
        await nodes[0].ask("hi")
        status = await nodes[0].status()
    assert status.name == "node-1"
    assert (status.members, status.peers_ready) == (2, 1)
    assert status.publishing == "ready"
    assert status.network_kind == "demo"
    assert status.engine is not None
    assert status.engine.models[0].id == "echo"
    assert status.uptime_ms >= 0
    assert type(status).from_json(status.to_json()) == status


async def test_peers_tell_what_they_serve():
    async with open_mesh(2, engine=["echo", None]) as nodes:
        (peer,) = await nodes[1].peers()
        assert (peer.name, peer.ready, peer.models[0].id, peer.slots) == ("node-1", True, "echo", 4)
        (other,) = await nodes[0].peers()
        assert (other.models, other.slots, other.running) == ((), 0, 0)
        await nodes[1].close()
        await until(lambda: not nodes[0]._port.list_serving_peers())
        (gone,) = await nodes[0].peers()
        assert (gone.ready, gone.peer, gone.models) == (False, None, ())


async def test_vertices_are_listed_by_kind_and_author():
    async with open_mesh(2) as nodes:
        note = await nodes[0].publish("hello\n  there")
        await nodes[1].publish("other", title="Title")
        await wait_for_equal_heads(nodes)
        mine = await nodes[1].vertices(author="node-1")
        assert [vertex.kind for vertex in mine] == ["note", "profile"]
        assert mine[0].summary == "hello there"
        assert mine[0].id == note.id
        newest = await nodes[0].vertices(limit=1, kind="note")
        assert newest[0].summary == "Title"
        assert await nodes[0].vertices(kind="opaque-99") == []
        by_id = await nodes[0].vertices(author=mine[0].author[:10], limit=1)
        assert by_id[0].author_name == "node-1"


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": 1_001},
        {"kind": "gossip"},
        {"kind": "opaque-x"},
        {"author": "nobody"},
        {"author": "node"},
        {"author": ""},
    ],
)
async def test_vertices_are_refused_when_the_filter_makes_no_sense(options):
    async with open_mesh(1) as (node,):
        with pytest.raises(CommandRejected):
            await node.vertices(**options)


async def test_vertex_is_found_by_the_beginning_of_its_id():
    async with open_mesh(1) as (node,):
        notes = [await node.publish(f"note {number}") for number in range(40)]
        found = await node.vertex(notes[0].id[:9])
        assert found.vertex.id == notes[0].id
        assert found.body is not None
        assert found.body["content"] == "note 0"
        assert (await node.vertex(notes[1].id.upper())).vertex.id == notes[1].id
        shared = next(
            first.id[0] for first in notes if sum(other.id[0] == first.id[0] for other in notes) > 1
        )
        with pytest.raises(CommandRejected, match="give more digits"):
            await node.vertex(shared)
        for text in ("", "xyz", "0" * 65):
            with pytest.raises(CommandRejected, match="no vertex id"):
                await node.vertex(text)
        with pytest.raises(CommandRejected, match="no vertices begin"):
            await node.vertex("0" * 64)


async def test_note_that_is_too_large_for_a_vertex_names_a_blob():
    async with open_mesh(1) as (node,):
        note = await node.publish("x" * BODY_BYTES_MAX)
        blob = (await node.vertex(note.id)).body["blob"]
        assert await node.blobs.get(blob["id"]) == b"x" * BODY_BYTES_MAX


async def test_events_tell_what_happens():
    async with open_mesh(2) as nodes:
        async with aclosing(nodes[1].events()) as events:
            upcoming = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            note = await nodes[0].publish("news")
            event = await upcoming
            while not (isinstance(event, VertexSeen) and event.vertex.id == note.id):
                event = await anext(events)
        assert not event.own


async def test_events_tell_that_some_were_lost():
    async with open_mesh(1) as (node,):
        runtime = node._runtime
        original = runtime.events
        runtime.events = lambda: original(1)
        async with aclosing(node.events()) as events:
            upcoming = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            for number in range(3):
                await node.publish(f"{number}")
            seen = [await upcoming, await anext(events)]
            if not isinstance(seen[-1], EventsLost):
                seen.append(await anext(events))
            assert isinstance(seen[-1], EventsLost)
            upcoming = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            await node.publish("after")
            assert isinstance(await upcoming, VertexSeen)


async def test_events_end_with_the_node():
    async with open_mesh(1) as (node,):
        upcoming = asyncio.ensure_future(_collect(node.events()))
        await asyncio.sleep(0)
        await node.close()
        assert isinstance(await upcoming, list)


async def _collect(events):
    return [event async for event in events]


async def test_invitation_is_refused_when_its_terms_make_no_sense():
    async with open_mesh(1) as (node,):
        for options in ({"uses": 0}, {"expires_in_ms": -1}, {"role": "king"}):
            with pytest.raises(CommandRejected):
                await node.invite(**options)


async def test_waiting_for_peers_ends():
    async with open_mesh(1) as (node,):
        await node.wait_for_peers(0, timeout_ms=1)
        with pytest.raises(DeadlineExceeded, match="0 of 1"):
            await node.wait_for_peers(timeout_ms=1)
        waiting = asyncio.create_task(node.wait_for_peers(timeout_ms=60_000))
        await asyncio.sleep(0)
        await node.close()
        with pytest.raises(NodeClosed):
            await waiting


async def test_closed_node_refuses_everything():
    async with open_mesh(1) as (node,):
        await node.close()
        for call in (
            node.status,
            node.peers,
            node.heads,
            node.vertices,
            node.invite,
            lambda: node.vertex("00"),
            lambda: node.publish("x"),
            lambda: node.ask("x"),
            lambda: node.finality("00"),
            lambda: anext(node.events()),
            lambda: node.wait_for_peers(timeout_ms=1),
        ):
            with pytest.raises(NodeClosed, match="open another"):
                await call()


async def test_young_node_waits_for_what_its_peers_serve(monkeypatch):
    monkeypatch.setattr(asking, "SETTLE_MS", 20)
    async with open_mesh(2, engine=["echo", None]) as nodes:
        await nodes[0].close()
        await until(lambda: not nodes[1]._port.list_serving_peers())
        with pytest.raises(NoPeerServes, match="no peer is connected"):
            await nodes[1].ask("hi")


async def test_stream_begins_with_who_answers():
    async with (
        open_mesh(2, engine=["echo", None]) as nodes,
        aclosing(nodes[1].stream("hi")) as items,
    ):
        first = await anext(items)
    assert isinstance(first, Started)
    assert (first.name, first.engine, first.model) == ("node-1", "echo", "echo")


async def test_long_question_and_cancellation_over_libp2p():
    engine = ScriptedEngine(["x" * 100_000] * 5)
    async with open_mesh(2, engine=[engine, None], transport="libp2p") as nodes:
        answer = await nodes[1].ask("y" * 1_500_000)
        assert (len(answer.text), answer.share, answer.verified) == (500_000, "full", True)
        engine.script = ["first", engine.gate]
        engine.stopped.clear()
        async with aclosing(nodes[1].stream("hi")) as items:
            assert isinstance(await anext(items), Started)
        async with asyncio.timeout(10):
            await engine.stopped.wait()
        await until(lambda: nodes[0]._desk.running == 0)


async def test_peer_that_dies_over_libp2p_is_replaced_before_its_first_token():
    engine = gated()
    async with open_mesh(3, engine=[engine, None, None], transport="libp2p") as nodes:
        asking = asyncio.create_task(nodes[2].ask("hi"))
        await engine.entered.wait()
        await nodes[1].start_engine(ScriptedEngine(["taken over"]))
        await until(
            lambda: any(
                peer.name == "node-2" and peer.models
                for peer in nodes[2]._port.list_serving_peers()
            )
        )
        nodes[0]._runtime.transport.hang_up(nodes[2].peer_id, reason="gone")
        answer = await asking
    assert answer.text == "taken over"
