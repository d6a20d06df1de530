"""`connect()`: the running node, with the methods of a node in one's own process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace

import msgspec
import pytest

from meshnode import client
from meshnode.client import connect
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    DeadlineExceeded,
    MalformedMessage,
    MeshError,
    NoDaemon,
    NoPeerServes,
)
from meshnode.gateway.port import NotReady, Phase
from meshnode.runtime_file import require_runtime, write_runtime
from tests.support.fake_node import (
    ANSWER,
    COMMIT,
    EVENT,
    FINALITY,
    NO_PEER,
    PLACEMENT,
    ROUTE,
    STATUS,
    VERTEX,
    open_gateway,
)


@pytest.fixture
async def scene(tmp_path):
    async with open_gateway(tmp_path) as (host, gateway), connect(tmp_path) as node:
        yield host, gateway, node


@pytest.fixture
def host(scene):
    return scene[0]


@pytest.fixture
def node(scene):
    return scene[2]


async def test_reads_give_the_views_of_the_node(scene, host, node):
    status = await node.status()
    assert (status.name, status.api) == (STATUS.name, scene[1].api)
    assert await node.peers() == await host.node.peers()
    assert await node.heads() == await host.node.heads()
    assert await node.vertices(limit=2, kind="note") == [VERTEX]
    assert host.node.calls[-1][2] == {"limit": 2, "kind": "note", "author": None}
    assert await node.vertex("dddd") == await host.node.vertex("dddd")
    assert await node.route("hi", model="m") == ROUTE
    assert host.node.calls[-1] == ("route", ("hi",), {"model": "m"})
    await node.route([{"role": "user", "content": "hi"}])
    assert host.node.calls[-1][1] == ('[{"role": "user", "content": "hi"}]',)
    assert await node.placements(limit=3) == [PLACEMENT]
    assert host.node.calls[-1][2] == {"limit": 3}
    assert (node.api, node.since_ms) == (scene[1].api, 5)
    assert node.pid > 0


async def test_ask_gives_the_answer_and_passes_every_option(host, node):
    assert await node.ask("hi", model="m", knowledge=["x"], extra={"top_p": 1}) == ANSWER
    name, args, options = host.node.calls[-1]
    assert (name, args) == ("ask", ("hi",))
    assert options == {
        "model": "m",
        "share": None,
        "timeout_ms": 120_000,
        "knowledge": ("x",),
        "peer": None,
        "max_tokens": None,
        "temperature": None,
        "extra": {"top_p": 1},
        "max_price_uruv": None,
        "max_spend_uruv": None,
        "wishes": None,
        "context": (),
        "ensemble": None,
        "debate": None,
        "judge": None,
    }
    await node.ask("hi", max_price_uruv=5, max_spend_uruv=9, wishes={"sla_bp": 1})
    options = host.node.calls[-1][2]
    paid = {name: options[name] for name in ("max_price_uruv", "max_spend_uruv", "wishes")}
    assert paid == {"max_price_uruv": 5, "max_spend_uruv": 9, "wishes": {"sla_bp": 1}}
    await node.ask([{"role": "user", "content": "hi"}])
    assert host.node.calls[-1][1] == ([{"role": "user", "content": "hi"}],)


async def test_stream_gives_the_items_of_the_node(node):
    items = [item async for item in node.stream("hi")]
    assert [item.type for item in items] == ["started", "delta", "finished"]
    assert items[-1].answer == ANSWER


async def test_long_answers_fit_a_line(host, node):
    host.node.answer = replace(ANSWER, text="é" * 500_000)
    items = [item async for item in node.stream("hi")]
    assert items[-1].answer.text == "é" * 500_000


async def test_endless_lines_are_cut_off(node, monkeypatch):
    monkeypatch.setattr(client, "LINE_BYTES_MAX", 10)

    class Content:
        async def iter_any(self):
            yield b"x" * 11

    class Response:
        content = Content()

    with pytest.raises(MalformedMessage, match="line of more than 10"):
        async for _ in client._read_lines(Response()):  # type: ignore[arg-type]
            pass


async def test_errors_keep_their_class(host, node):
    host.node.fails = NO_PEER
    with pytest.raises(NoPeerServes, match=r"kimi.*served: echo"):
        await node.ask("hi")
    with pytest.raises(NoPeerServes):
        async for _ in node.stream("hi"):
            pass
    host.node.fails = None
    host.node.fails_late = EngineError(EngineFault.TRUNCATED, "gone")
    with pytest.raises(EngineError, match="gone"):
        async for _ in node.stream("hi"):
            pass


async def test_closing_a_stream_ends_the_work(host, node):
    host.node.hold = True
    items = node.stream("hi")
    assert (await anext(items)).type == "started"
    await host.node.waiting.wait()
    await items.aclose()
    async with asyncio.timeout(5):
        await host.node.cancelled.wait()


async def test_cancelling_an_ask_ends_the_work(host, node):
    host.node.hold = True
    asking = asyncio.create_task(node.ask("hi"))
    await host.node.waiting.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    async with asyncio.timeout(5):
        await host.node.cancelled.wait()


async def test_ask_that_the_node_never_answers_runs_into_its_deadline(host, node, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_GRACE_MS", 0)
    host.node.hold = True
    with pytest.raises(DeadlineExceeded, match="did not answer in time"):
        await node.ask("hi", timeout_ms=50)


async def test_events_come_until_the_node_ends(host, node):
    host.node.events_queue.put_nowait(EVENT)
    host.node.events_queue.put_nowait(None)
    assert [event async for event in node.events()] == [EVENT]


async def test_commits_behind_an_index_and_finality_are_asked_of_the_node(host, node):
    host.node.events_queue.put_nowait(COMMIT)
    host.node.events_queue.put_nowait(None)
    assert [event async for event in node.events(after=6)] == [COMMIT]
    assert host.node.calls[-1] == ("events", (), {"after": 6})
    assert await node.finality(VERTEX.id, wait_ms=5) == FINALITY
    assert host.node.calls[-1] == ("finality", (VERTEX.id,), {"wait_ms": 5})
    with pytest.raises(MalformedMessage, match="ids are hex"):
        await node.finality("../x")


async def test_notes_invitations_joining_and_shutdown_reach_the_node(host, node):
    assert await node.publish("text", title="t") == VERTEX
    assert host.node.calls[-1][1] == ("text",)
    assert await node.publish(b"\x00\xff") == VERTEX
    assert host.node.calls[-1][1] == (b"\x00\xff",)
    assert await node.invite(uses=3) == "mesh1ticket"
    assert (await node.join("mesh1x")).name == STATUS.name
    assert host.tickets == ["mesh1x"]
    await node.shutdown()
    assert host.stopping.is_set()


async def test_startup_is_readable_before_the_node_is_ready(host, node):
    host.phase = Phase(name="loading", detail="loading engine", elapsed_ms=9)
    assert (await node.startup())["phase"] == "loading"
    with pytest.raises(NotReady, match="loading engine"):
        await node.status()


async def test_ids_that_are_no_ids_never_become_paths(host, node):
    with pytest.raises(MalformedMessage, match="not a vertex id"):
        await node.vertex("../status")


async def test_closed_connection_says_so(node):
    await node.status()
    await node.close()
    with pytest.raises(MeshError, match="closed"):
        await node.status()


async def test_node_that_vanished_is_no_daemon(tmp_path, scene, node):
    await scene[1].close()
    with pytest.raises(NoDaemon, match="does not answer"):
        await node.status()


async def test_node_that_breaks_the_connection_is_no_daemon(tmp_path, scene):
    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        record = require_runtime(tmp_path / "runtime.json")
        write_runtime(
            tmp_path / "runtime.json", msgspec.structs.replace(record, api=f"127.0.0.1:{port}")
        )
        async with connect(tmp_path) as node:
            with pytest.raises(NoDaemon, match="ended the connection"):
                await node.status()


async def test_answers_of_another_program_are_refused(host, node, monkeypatch):
    async def not_json(response):
        return client._decode(body)

    monkeypatch.setattr(client, "_read_json", not_json)
    for body in (b"<html>", b'"\xff"', b"[" * 100_000):  # noqa: B007 - read by `not_json`
        with pytest.raises(MalformedMessage, match="not JSON"):
            await node.status()

    async def no_ticket(response):
        return {}

    monkeypatch.setattr(client, "_read_json", no_ticket)
    with pytest.raises(MalformedMessage, match="without a ticket"):
        await node.invite()


def test_no_node_is_no_daemon(tmp_path, monkeypatch):
    with pytest.raises(NoDaemon, match="meshnode up"):
        connect(tmp_path)
    monkeypatch.setenv("MESHNODE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(NoDaemon, match="elsewhere"):
        connect()
    monkeypatch.delenv("MESHNODE_HOME")
    monkeypatch.setattr(client, "get_default_home", lambda: tmp_path / "default")
    with pytest.raises(NoDaemon, match="default"):
        connect()


def test_import_loads_no_http_library():
    code = "import sys, meshnode.client; assert 'aiohttp' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
