"""The HTTP interface: who may use it, what it answers, and how it fails."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace

import aiohttp
import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import ConfigError, StorageError
from meshnode.gateway import streaming
from meshnode.gateway.app import Gateway
from meshnode.gateway.port import Phase
from meshnode.views import make_list_document
from tests.support.fake_node import (
    ANSWER,
    COMMIT,
    EVENT,
    NO_PEER,
    STARTED,
    STATUS,
    VERTEX,
    FakeHost,
    open_gateway,
)


def plain(data):
    """As it is after a journey through JSON."""
    return json.loads(json.dumps(data))


class Browser:
    """Speaks HTTP to a gateway, with its token unless told otherwise."""

    def __init__(self, session, gateway):
        self._session = session
        self._gateway = gateway

    def open(self, method, path, *, body=None, token=None, headers=None, **options):
        token = self._gateway.token.reveal() if token is None else token
        return self._session.request(
            method,
            f"http://{self._gateway.api}{path}",
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
            data=json.dumps(body) if isinstance(body, dict) else body,
            **options,
        )

    async def __call__(self, method, path, **options):
        async with self.open(method, path, **options) as response:
            return response.status, await response.json(), response.headers


@pytest.fixture
async def gateway():
    async with open_gateway() as (host, gateway), aiohttp.ClientSession() as session:
        yield host, gateway, Browser(session, gateway)


@pytest.fixture
def host(gateway):
    return gateway[0]


@pytest.fixture
def http(gateway):
    return gateway[2]


async def test_status_tells_the_address_the_node_does_not_know(gateway, http):
    status, data, _ = await http("GET", "/api/v1/status")
    assert status == 200
    assert data == plain({**STATUS.to_json(), "api": gateway[1].api, "api_url": gateway[1].url})
    assert data["schema"] == "meshnode.status/1"


async def test_reads_are_the_json_forms_of_the_views(host, http):
    assert (await http("GET", "/api/v1/peers"))[1] == plain(
        make_list_document("peers", await host.node.peers())
    )
    assert (await http("GET", "/api/v1/heads"))[1]["digest"] == "cc" * 32
    assert (await http("GET", "/api/v1/vertices/dddd"))[1]["vertex"]["seq"] == 1
    assert host.node.calls[-1] == ("vertex", ("dddd",), {})


async def test_vertices_take_a_query_and_refuse_another(host, http):
    status, data, _ = await http("GET", "/api/v1/vertices?limit=3&kind=note")
    assert (status, data["schema"], len(data["vertices"])) == (200, "meshnode.vertices/1", 1)
    assert host.node.calls[-1][2] == {"limit": 3, "kind": "note", "author": None}
    for query in ("limit=0", "limit=x", "sort=asc", "limit=1001"):
        status, data, _ = await http("GET", f"/api/v1/vertices?{query}")
        assert (status, data["error"]["code"]) == (400, "malformed_message")


@pytest.mark.parametrize("token", ["", "wrong", "é"])
async def test_wrong_token_is_refused(http, token):
    status, data, headers = await http("GET", "/api/v1/status", token=token)
    assert (status, data["error"]["code"]) == (401, "unauthorized")
    assert headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:7077"},
        {"Host": "[::2]:7077"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_names_that_lead_here_from_elsewhere_are_refused(http, headers):
    status, data, _ = await http("GET", "/livez", headers=headers)
    assert (status, data["error"]["code"]) == (403, "http_error")


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:7077"])
async def test_names_of_this_machine_are_accepted(http, host):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert (await http("GET", "/livez", headers=headers))[0] == 200


async def test_unknown_paths_methods_and_large_bodies_are_json_too(http):
    assert (await http("GET", "/nothing"))[0] == 404
    assert (await http("GET", "/nothing"))[1]["error"]["code"] == "not_found"
    assert (await http("POST", "/api/v1/status"))[0] == 405
    status, data, _ = await http("POST", "/api/v1/ask", body=io.BytesIO(b"x" * 3_000_000))
    assert (status, data["error"]["message"]) == (413, "the body is too large")


async def test_health_needs_no_token_and_tells_the_phase(host, http):
    for path in ("/livez", "/readyz", "/startupz"):
        assert (await http("GET", path, token=""))[0] == 200
    host.phase = Phase(name="loading", detail="loading engine embedded", elapsed_ms=1_200)
    status, data, headers = await http("GET", "/startupz", token="")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert data == {
        "schema": "meshnode.startup/1",
        "ready": False,
        "phase": "loading",
        "detail": "loading engine embedded",
        "elapsed_ms": 1_200,
    }
    assert (await http("GET", "/livez", token=""))[0] == 200


async def test_question_during_loading_is_told_to_come_back(host, http):
    host.phase = Phase(name="loading", detail="loading engine embedded", elapsed_ms=1)
    status, data, headers = await http("POST", "/api/v1/ask", body={"prompt": "hi"})
    assert (status, headers["Retry-After"]) == (503, "1")
    assert data["error"]["code"] == "not_ready"
    assert "loading engine embedded" in data["error"]["message"]


async def test_question_is_passed_on_whole(host, http):
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "peer": "ada"}
    status, data, _ = await http("POST", "/api/v1/ask", body=body)
    assert (status, data) == (200, plain(ANSWER.to_json()))
    name, args, options = host.node.calls[-1]
    assert (name, args) == ("ask", (body["messages"],))
    assert options["max_tokens"] == 3
    assert options["peer"] == "ada"
    assert options["model"] == "auto"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": "a", "messages": []},
        {"prompt": "a", "tempreature": 1},
        {"prompt": 3},
        {"prompt": "a", "timeout_ms": 0},
        "{",
        "[]",
        "[" * 100_000,
        b'{"prompt": "\xff"}',
    ],
)
async def test_unusable_questions_are_refused(http, body):
    status, data, _ = await http("POST", "/api/v1/ask", body=body)
    assert (status, data["error"]["code"]) == (400, "malformed_message")


async def test_answer_streams_as_lines(http):
    async with http.open("POST", "/api/v1/ask", body={"prompt": "a", "stream": True}) as response:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in (await response.read()).splitlines()]
    assert [line["type"] for line in lines] == ["started", "delta", "finished"]
    assert lines[0] == plain(STARTED.to_json())


async def test_several_are_asked_as_the_body_says(host, http):
    body = {"prompt": "a", "ensemble": 3, "debate": 1, "judge": "vote", "context": ["ab12"]}
    status, _, _ = await http("POST", "/api/v1/ask", body=body)
    options = host.node.calls[-1][2]
    assert status == 200
    assert {name: options[name] for name in ("ensemble", "debate", "judge")} == {
        "ensemble": 3,
        "debate": 1,
        "judge": "vote",
    }
    assert options["context"] == ("ab12",)
    for wrong in ({"ensemble": 7}, {"debate": 0}, {"judge": "dice"}, {"context": ["a"] * 7}):
        status, data, _ = await http("POST", "/api/v1/ask", body={"prompt": "a", **wrong})
        assert (status, data["error"]["code"]) == (400, "malformed_message")


async def test_stream_that_fails_at_once_has_a_status(host, http):
    host.node.fails = NO_PEER
    status, data, _ = await http("POST", "/api/v1/ask", body={"prompt": "a", "stream": True})
    assert (status, data["error"]["code"]) == (503, "no_peer_serves")
    assert data["error"]["hint"] == "served: echo"


async def test_stream_that_fails_later_ends_with_the_error(host, http):
    host.node.fails_late = EngineError(EngineFault.TRUNCATED, "the engine went away")
    async with http.open("POST", "/api/v1/ask", body={"prompt": "a", "stream": True}) as response:
        lines = [json.loads(line) for line in (await response.read()).splitlines()]
    assert lines[-1]["type"] == "error"
    assert lines[-1]["error"]["fault"] == "truncated"


async def test_stream_broken_by_a_bug_ends_the_connection(host, http, caplog):
    host.node.fails_late = ZeroDivisionError("secret detail")
    async with http.open("POST", "/api/v1/ask", body={"prompt": "a", "stream": True}) as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_goes_away_ends_its_question(host, http, stream):
    host.node.hold = True
    body = {"prompt": "a", "stream": stream}
    if stream:
        async with http.open("POST", "/api/v1/ask", body=body) as response:
            await response.content.readline()
            await host.node.waiting.wait()
            response.close()
    else:
        asking = asyncio.create_task(http("POST", "/api/v1/ask", body=body))
        await host.node.waiting.wait()
        asking.cancel()
        await asyncio.wait([asking])
    async with asyncio.timeout(5):
        await host.node.cancelled.wait()


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (NO_PEER, 503, None),
        (StorageError("disk"), 500, None),
        (EngineError(EngineFault.RATE_LIMITED, "slow down", retry_after_ms=1_001), 429, "2"),
        (EngineError(EngineFault.INTERNAL, "broken"), 502, None),
    ],
)
async def test_failures_have_their_status(host, http, error, status, retry_after):
    host.node.fails = error
    found, data, headers = await http("POST", "/api/v1/ask", body={"prompt": "a"})
    assert (found, data["error"]["message"]) == (status, error.message)
    assert headers.get("Retry-After") == retry_after


async def test_bug_shows_nothing_of_its_insides(host, http, caplog):
    host.node.fails = ZeroDivisionError("secret detail")
    status, data, _ = await http("GET", "/api/v1/status")
    assert status == 500
    assert "secret detail" not in json.dumps(data)
    assert "secret detail" in caplog.text


async def test_note_is_text_or_bytes(host, http):
    await http("POST", "/api/v1/publish", body={"content": "hi", "title": "t"})
    assert host.node.calls[-1][1] == ("hi",)
    await http("POST", "/api/v1/publish", body={"content_base64": "AAE=", "media_type": "a/b"})
    assert host.node.calls[-1][1] == (b"\x00\x01",)
    for body in ({}, {"content": "a", "content_base64": "AAE="}):
        assert (await http("POST", "/api/v1/publish", body=body))[0] == 400


async def test_invite_join_and_shutdown_reach_node_and_host(host, http):
    status, data, _ = await http("POST", "/api/v1/invite", body={"uses": 2})
    assert (status, data["ticket"]) == (200, "mesh1ticket")
    assert host.node.calls[-1][2] == {
        "uses": 2,
        "expires_in_ms": 86_400_000,
        "role": "peer",
        "grant_uruv": 0,
    }
    status, data, _ = await http("POST", "/api/v1/join", body={"ticket": "mesh1x"})
    assert (status, data["name"], host.tickets) == (200, "ada", ["mesh1x"])
    assert (await http("POST", "/api/v1/shutdown"))[1]["stopping"] is True
    assert host.stopping.is_set()


async def test_events_are_sent_as_they_come_with_pings_between(host, http, monkeypatch):
    monkeypatch.setattr(streaming, "PING_INTERVAL_S", 0.02)
    async with http.open("GET", "/api/v1/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readuntil(b"\n\n") == b": connected\n\n"
        assert await response.content.readuntil(b"\n\n") == b": ping\n\n"
        host.node.events_queue.put_nowait(EVENT)
        block = await response.content.readuntil(b"\n\n")
        while block == b": ping\n\n":
            block = await response.content.readuntil(b"\n\n")
        head, data = block.decode().strip().split("\n")
        assert head == "event: peer_joined"
        assert json.loads(data.removeprefix("data: ")) == plain(EVENT.to_json())
    async with asyncio.timeout(5):
        await host.node.cancelled.wait()


async def test_more_events_than_go_at_once_come_in_order_and_each_once(host, http, monkeypatch):
    monkeypatch.setattr(streaming, "EVENTS_AT_ONCE", 4)
    for number in range(50):
        host.node.events_queue.put_nowait(replace(COMMIT, commit_index=number))
    host.node.events_queue.put_nowait(None)
    async with http.open("GET", "/api/v1/events") as response:
        lines = (await response.read()).decode().split("\n")
    told = [line for line in lines if line.startswith("id: ")]
    assert told == [f"id: {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("path", "headers", "after"),
    [
        ("/api/v1/events", {}, None),
        ("/api/v1/events?after=0", {}, 0),
        ("/api/v1/events", {"Last-Event-ID": "41"}, 41),
        ("/api/v1/events?after=6", {"Last-Event-ID": "41"}, 6),
        ("/api/v1/events", {"Last-Event-ID": "x"}, None),
    ],
)
async def test_commits_carry_their_index_and_are_sent_from_where_a_client_was(
    host, http, path, headers, after
):
    host.node.events_queue.put_nowait(COMMIT)
    host.node.events_queue.put_nowait(None)
    async with http.open("GET", path, headers=headers) as response:
        lines = (await response.read()).decode().split("\n")
    assert lines[2:4] == ["id: 7", "event: vertices_ordered"]
    assert host.node.calls[-1] == ("events", (), {"after": after})


async def test_finality_is_looked_up_and_waited_for(host, http):
    status, data, _ = await http("GET", f"/api/v1/vertices/{VERTEX.id}/finality?wait_ms=20")
    assert (status, data["final"], data["commit_index"]) == (200, True, 7)
    assert host.node.calls[-1] == ("finality", (VERTEX.id,), {"wait_ms": 20})
    assert (await http("GET", "/api/v1/vertices/ab/finality?wait_ms=-1"))[0] == 400
    assert (await http("GET", "/api/v1/events?after=-1"))[0] == 400


async def test_events_end_with_the_node(host, http):
    host.node.events_queue.put_nowait(None)
    async with http.open("GET", "/api/v1/events") as response:
        assert await response.read() == b": connected\n\n"


async def test_taken_address_names_the_node_that_holds_it(gateway):
    with pytest.raises(ConfigError, match=r"another meshnode, pid \d+, since \d\d:\d\d.*--api"):
        async with open_gateway(api=gateway[1].api):
            pass


async def test_usual_address_gives_way_where_it_is_taken(gateway, monkeypatch):
    monkeypatch.setattr("meshnode.gateway.app.API_DEFAULT", gateway[1].api)
    async with open_gateway(api=None) as (_, other):
        assert other.api != gateway[1].api
        assert other.api.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"program":"x"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n?",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n" + b"[" * 4_096,
        b'HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n{"program":"meshnode","since_ms":1e18,"a":1}',
    ],
)
async def test_taken_address_of_another_program_is_named(answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match="another program"):
            async with open_gateway(api=f"127.0.0.1:{port}"):
                pass


async def test_address_of_another_machine_is_named():
    with pytest.raises(ConfigError, match="cannot be listened on"):
        async with open_gateway(api="192.0.2.1:0", insecure=True):
            pass


async def test_listening_beyond_this_machine_is_refused_unless_asked_for():
    with pytest.raises(ConfigError, match="--api-insecure"):
        Gateway(FakeHost(), api="0.0.0.0:0")
    async with open_gateway(api="0.0.0.0:0", insecure=True) as (_, gateway):
        port = gateway.api.rpartition(":")[2]
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/livez"
            async with session.get(url, headers={"Host": "node.example"}) as response:
                assert response.status == 200


async def test_token_is_new_at_every_start_and_masked():
    one, other = (Gateway(FakeHost(), api="127.0.0.1:0") for _ in range(2))
    assert one.token != other.token
    assert one.token.reveal() not in repr(vars(one))
