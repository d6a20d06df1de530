"""Probes: loads and digests of who is silent, and what others say of who does not answer."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from meshnode.engines.base import EngineError
from meshnode.errors import MalformedMessage, PeerGone
from meshnode.routing.query import Query
from meshnode.serving import probes, protocol
from meshnode.serving.probes import ask_whether_reached, can_reach, fetch_report
from meshnode.serving.prompt_cache import read_blocks
from meshnode.serving.question import Question
from tests.support.serving_net import LOAD, ScriptedEngine, answer, serving_net, until


async def send_last(stream, frame):
    await stream.send(frame)
    await stream.finish()
    await stream.receive()


LONG = {"messages": [{"role": "user", "content": "x" * 10_000}]}


async def test_probe_tells_load_and_digests_of_what_was_read():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        first = await fetch_report(client, host.peer, 0)
        assert (first.load.slots, first.generation, first.blocks) == (1, 0, b"")
        await ask_long(client)
        second = await fetch_report(client, host.peer, first.generation)
        assert len(read_blocks(second.blocks)) == 4
        third = await fetch_report(client, host.peer, second.generation)
        assert (third.complete, third.blocks) == (False, b"")
        assert third.load.sequence > second.load.sequence > first.load.sequence


async def ask_long(node, **options):
    async with aclosing(node.asker.stream(Question(request=LONG, **options))) as items:
        return [item async for item in items]


@pytest.mark.parametrize("options", [{"private": True}, {"share": "digest"}])
async def test_private_question_leaves_no_digest(options):
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await ask_long(client, **options)
        assert (await fetch_report(client, host.peer, 0)).blocks == b""


async def test_question_goes_to_whose_cache_holds_its_beginning():
    async with serving_net() as net:
        for name in "abc":
            await net.add(name, ScriptedEngine(model="m", slots=4, context_tokens=9_000))
        client, other = await net.add("client"), await net.add("other")
        holder = (await ask_long(other))[-1].answer.name
        dispatcher = client.asker.dispatcher
        dispatcher.refresh()
        for peer in dispatcher.list_serving():
            dispatcher.on_report(peer, await fetch_report(client, peer, 0))
        # Asked for, not carried out: what an answer took here would be learned, and count as well.
        found = [client.asker.explain(Question(request=LONG))[1].chosen for _ in range(9)]
        assert {each.name for each in found if each is not None} == {holder}


async def test_who_is_silent_is_probed_while_questions_are_asked(monkeypatch):
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        dispatcher = client.asker.dispatcher
        client.clock_offset_ms += 31_000
        assert (
            dispatcher.router.choose(Query(), now_ms=client.read_clock_ms(), draw=0).chosen is None
        )
        dispatcher.watch.look()
        await until(
            lambda: (
                not dispatcher.watch._probing
                or all(task.done() for task in dispatcher.watch._probing.values())
            )
        )
        found = dispatcher.router.choose(Query(), now_ms=client.read_clock_ms(), draw=0)
        assert found.chosen is not None
        assert found.chosen.peer == host.peer


async def test_who_is_heard_needs_not_repeat_its_report():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        dispatcher = client.asker.dispatcher
        client.clock_offset_ms += 31_000
        host.heard_ms = client.read_clock_ms()
        dispatcher.refresh()
        now_ms = client.read_clock_ms()
        assert dispatcher.router.choose(Query(), now_ms=now_ms, draw=0).chosen is not None
        assert host.peer not in dispatcher.router.list_due_probes(now_ms=now_ms)


async def test_probe_that_fails_is_no_harm_and_one_that_lies_is_an_offence():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        dispatcher = client.asker.dispatcher
        dispatcher.refresh()

        async def lie(stream):
            await stream.receive()
            await send_last(stream, b"\xc1")

        async def leave(stream):
            await stream.receive()
            await stream.finish()
            await stream.receive()

        async def refuse(stream):
            await stream.receive()
            await send_last(stream, protocol.encode_frame(protocol.Failed("overloaded", "busy", 0)))

        for handle, offences in ((lie, 1), (leave, 2), (refuse, 2)):
            host.handle_stream = handle
            await dispatcher.watch._fetch(host.peer)
            await dispatcher.watch._ask_about(host.peer, host.peer, host.author)
            assert len(client.offences) == 2 * offences


@pytest.mark.parametrize("frame", [protocol.Queued(0, LOAD), protocol.Reached(True)])
async def test_probe_is_answered_with_a_report_and_nothing_else(frame):
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")

        async def answer_otherwise(stream):
            await stream.receive()
            await send_last(stream, protocol.encode_frame(frame))

        host.handle_stream = answer_otherwise
        with pytest.raises(MalformedMessage):
            await fetch_report(client, host.peer, 0)
        if not isinstance(frame, protocol.Reached):
            with pytest.raises(MalformedMessage):
                await ask_whether_reached(client, host.peer, host.author)


async def test_others_say_whether_a_silent_peer_can_be_reached(monkeypatch):
    monkeypatch.setattr(probes, "REACH_MS", 30)
    async with serving_net() as net:
        host = await net.add("host", ScriptedEngine())
        witness = await net.add("witness", ScriptedEngine())
        client = await net.add("client")
        assert await ask_whether_reached(client, witness.peer, host.author)

        async def stay_silent(stream):
            await asyncio.Event().wait()

        host.handle_stream = stay_silent
        assert not await ask_whether_reached(client, witness.peer, host.author)

        async def gone(peer):
            raise PeerGone("gone")

        witness.open_stream = gone  # type: ignore[method-assign]
        assert not await can_reach(witness, host.author)
        with pytest.raises(EngineError, match="not connected"):
            await ask_whether_reached(client, witness.peer, bytes(32))


async def test_silent_peer_is_dead_once_others_cannot_reach_it_either(monkeypatch):
    async with serving_net() as net:
        host = await net.add("host", ScriptedEngine())
        for name in "xyz":
            await net.add(name, ScriptedEngine())
        client = await net.add("client")
        dispatcher = client.asker.dispatcher
        dispatcher.refresh()
        assert not dispatcher.is_dead(host.peer)
        monkeypatch.setattr(dispatcher.router, "list_silent", lambda **_: (host.peer,))
        host.ready.clear()

        async def stay_silent(stream):
            stream.reset()

        host.handle_stream = stay_silent
        missed: list[bool] = []
        monkeypatch.setattr(
            dispatcher.router, "on_probe", lambda peer, *, reached, now_ms: missed.append(reached)
        )
        dispatcher.watch.look()
        await until(lambda: len(missed) == 3)
        assert missed == [False] * 3
        assert dispatcher.is_dead("nobody")


async def test_probes_at_once_are_bounded(monkeypatch):
    monkeypatch.setattr("meshnode.serving.watch.PROBES_MAX", 1)
    async with serving_net() as net:
        for name in "ab":
            await net.add(name, ScriptedEngine())
        client = await net.add("client")
        dispatcher = client.asker.dispatcher
        dispatcher.refresh()
        client.clock_offset_ms += 31_000
        dispatcher.watch.look()
        assert len(dispatcher.watch._probing) == 1
        await dispatcher.close()


async def test_peers_are_watched_until_nobody_has_asked_for_a_while(monkeypatch):
    monkeypatch.setattr("meshnode.serving.watch.WATCH_MS", 1)
    monkeypatch.setattr("meshnode.serving.watch.IDLE_MS", 500)
    async with serving_net() as net:
        await net.add("host", ScriptedEngine())
        client = await net.add("client")
        await answer(client)
        watch = client.asker.dispatcher.watch
        client.clock_offset_ms += 1_000
        await until(lambda: watch._watching is not None and watch._watching.done())
        await answer(client)
        assert watch._watching is not None
        assert not watch._watching.done()


async def test_what_is_known_of_a_peer_goes_with_it_and_with_its_engine():
    async with serving_net() as net:
        host, client = await net.add("host", ScriptedEngine()), await net.add("client")
        await answer(client)
        dispatcher = client.asker.dispatcher
        dispatcher.watch._generations[host.peer] = 7
        restarted = protocol.Load(2**50, 1, 1, 0, 0, 0, 0, draining=False)
        dispatcher.on_load(host.peer, restarted)
        assert dispatcher.watch._generations == {}
        dispatcher.on_load("nobody", restarted)
        await net.stop(host)
        dispatcher.refresh()
        assert dispatcher.list_serving() == ()
        assert dispatcher.list_troubled() == ()
        assert dispatcher.get_rtt_ms(host.peer) == 0
