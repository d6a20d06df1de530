"""The tools over streamable HTTP, with the protocol's own client, unmodified."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from meshnode.errors import DeadlineExceeded
from meshnode.gateway import mcp_api
from meshnode.gateway.keys import create_key
from meshnode.gateway.mcp_tools import TEXT_CHARS_MAX, TOOLS
from meshnode.gateway.port import Phase
from meshnode.views import VertexDetail
from tests.support.fake_node import NO_PEER, VERTEX, open_gateway
from tests.support.views import make_answer

NAMES = [tool.name for tool in TOOLS]


@asynccontextmanager
async def open_client(gateway, token=None, mode="auto"):
    given = gateway.token.reveal() if token is None else token
    headers = {"Authorization": f"Bearer {given}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(
            streamable_http_client(f"http://{gateway.api}/mcp", http_client=http), mode=mode
        ) as c,
    ):
        yield c


@pytest.fixture
async def served(tmp_path):
    async with open_gateway(home=tmp_path) as (host, gateway):
        yield host, gateway, tmp_path


def make_key(home, **options):
    _, secret = create_key(home, now_ms=1_000, **options)
    return secret.reveal()


def read(result):
    assert not result.is_error, result.content[0].text
    assert json.loads(result.content[0].text) == result.structured_content
    return result.structured_content


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_client_finds_the_tools_and_what_they_do(served, mode):
    _, gateway, _ = served
    async with open_client(gateway, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == NAMES
        by_name = {tool.name: tool for tool in tools}
        assert by_name["mesh_status"].annotations.read_only_hint
        assert not by_name["market_place_bid"].annotations.read_only_hint
        assert "max_ruv" in by_name["market_place_bid"].input_schema["required"]
        assert all(tool.input_schema["type"] == "object" for tool in tools)
        assert all(tool.output_schema["type"] == "object" for tool in tools)
        found = read(await client.call_tool("mesh_status", {}))
        assert (found["node"], found["members"]) == ("ada", 1)
        resources = (await client.list_resources()).resources
        assert [str(each.uri) for each in resources] == ["mesh://status", "mesh://models"]
        for uri, field in (("mesh://status", "node"), ("mesh://models", "models")):
            (content,) = (await client.read_resource(uri)).contents
            assert field in json.loads(content.text)
        with pytest.raises(MCPError):
            await client.read_resource("mesh://secrets")


async def test_question_goes_to_the_node_as_it_was_asked(served):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        given = {"prompt": "hi", "system": "be brief", "max_tokens": 5, "knowledge": ["ab" * 4]}
        found = read(await client.call_tool("mesh_ask", given))
        assert (found["text"], found["answered_by"], found["cost_ruv"]) == (
            "hello world",
            "ada",
            "0",
        )
        name, (messages,), options = host.node.calls[-1]
        assert name == "ask"
        assert [message["role"] for message in messages] == ["system", "user"]
        assert options["max_price_uruv"] is None
        assert options["knowledge"] == ("ab" * 4,)
        found = read(await client.call_tool("mesh_ask", {"prompt": "hi", "max_ruv": "0.5"}))
        options = host.node.calls[-1][2]
        assert (options["max_spend_uruv"], options["max_price_uruv"]) == (500_000, 500_000)


async def test_long_texts_are_cut_and_say_so(served):
    host, gateway, _ = served
    host.node.answer = make_answer(text="x" * (TEXT_CHARS_MAX + 1))
    async with open_client(gateway) as client:
        found = read(await client.call_tool("mesh_ask", {"prompt": "hi"}))
        assert (len(found["text"]), found["is_cut"]) == (TEXT_CHARS_MAX, True)


async def test_dag_is_listed_and_read(served, monkeypatch):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        found = read(await client.call_tool("dag_query", {"kind": "note", "limit": 3}))
        assert found["vertices"][0]["id"] == VERTEX.id
        assert host.node.calls[-1][2] == {"limit": 3, "kind": "note", "author": None}
        for body, text in (
            ({"answer": "42"}, "42"),
            ({"title": "x"}, '{"title":"x"}'),
            (None, "{}"),
            ({"content": "n" * (TEXT_CHARS_MAX + 1)}, "n" * TEXT_CHARS_MAX),
        ):

            async def show(_, body=body):
                return VertexDetail(vertex=VERTEX, body=body, wire="00")

            monkeypatch.setattr(host.node, "vertex", show)
            one = read(await client.call_tool("dag_query", {"id": VERTEX.id}))["one"]
            assert (one["text"], one["is_cut"]) == (text, len(text) == TEXT_CHARS_MAX)


async def test_market_and_usage_are_told(served):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        assert read(await client.call_tool("market_book", {}))["instruments"]
        assert read(await client.call_tool("market_book", {"model": "m", "depth": 2}))["book"]
        assert host.node.calls[-1][2]["depth"] == 2
        found = read(await client.call_tool("usage_report", {"days": 3}))
        assert (found["days"], found["cost_usd"]) == (3, "0")
        assert found["bookings"]


async def test_bid_never_costs_more_than_it_may(served):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        given = {"model": "m", "lots": 4, "max_ruv": "2", "price_ruv": "0.5", "keep_open": True}
        found = read(await client.call_tool("market_place_bid", given))
        assert found["max_ruv"] == "2"
        options = host.node.calls[-1][2]
        assert (options["price_uruv"], options["time_in_force"]) == (500_000, "gtc")
        read(await client.call_tool("market_place_bid", {"model": "m", "lots": 4, "max_ruv": "2"}))
        options = host.node.calls[-1][2]
        assert (options["price_uruv"], options["budget_uruv"]) == (None, 2_000_000)
        assert options["time_in_force"] == "ioc"
        calls = len(host.node.calls)
        for wrong, word in (
            ({"price_ruv": "0.51"}, "may cost 2.04"),
            ({"keep_open": True}, "needs price_ruv"),
            ({"max_ruv": "0"}, "is nothing"),
            ({"max_ruv": "much"}, "no amount"),
            ({"lots": 0}, "lots"),
            ({"lots": True}, "lots"),
            ({"hidden": 1}, "hidden"),
        ):
            given = {"model": "m", "lots": 4, "max_ruv": "2", **wrong}
            result = await client.call_tool("market_place_bid", given)
            assert result.is_error
            assert word in result.content[0].text
        assert len(host.node.calls) == calls


async def test_failures_say_what_why_and_what_next(served):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        host.node.fails = NO_PEER
        result = await client.call_tool("mesh_ask", {"prompt": "hi"})
        assert result.is_error
        assert result.content[0].text.startswith("nobody serves 'kimi'; served: echo (the same")
        assert result.structured_content["error"]["code"] == "no_peer_serves"
        host.node.fails = DeadlineExceeded("too late")
        assert (await client.call_tool("mesh_status", {})).is_error
        with pytest.raises(MCPError, match="too late"):
            await client.read_resource("mesh://status")
        with pytest.raises(MCPError, match="may not call 'rm'; it may call mesh_status"):
            await client.call_tool("rm", {})


async def test_bug_shows_nothing_of_its_insides(served, caplog):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        host.node.fails = ZeroDivisionError("secret detail")
        with pytest.raises(MCPError) as caught:
            await client.call_tool("mesh_status", {})
        assert "secret detail" not in str(caught.value)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_client_that_goes_away_ends_its_question(served, mode):
    host, gateway, _ = served
    host.node.hold = True

    async def ask():
        async with open_client(gateway, mode=mode) as client:
            await client.call_tool("mesh_ask", {"prompt": "hi"})

    asking = asyncio.create_task(ask())
    async with asyncio.timeout(20):
        await host.node.waiting.wait()
        asking.cancel()
        await asyncio.wait([asking])
        await host.node.cancelled.wait()


async def test_node_that_ends_ends_the_questions_of_tools(tmp_path):
    async with open_gateway(home=tmp_path) as (host, gateway):
        host.node.hold = True

        async def ask():
            async with open_client(gateway) as client:
                await client.call_tool("mesh_ask", {"prompt": "hi"})

        asking = asyncio.create_task(ask())
        async with asyncio.timeout(20):
            await host.node.waiting.wait()
    async with asyncio.timeout(20):
        await host.node.cancelled.wait()
        asking.cancel()
        await asyncio.wait([asking])


async def test_node_that_starts_says_so(served):
    host, gateway, _ = served
    async with open_client(gateway) as client:
        host.phase = Phase(name="loading", detail="loading engine", elapsed_ms=5)
        with pytest.raises(MCPError, match="loading engine"):
            await client.call_tool("mesh_status", {})


async def test_keys_see_and_do_what_their_scopes_allow(served):
    host, gateway, home = served
    reads = make_key(home, name="reads", scopes=("mcp", "read"))
    spends = make_key(home, name="spends", scopes=("mcp", "chat", "market"), day_uruv=1_000_000)
    other = make_key(home, name="other", scopes=("chat",))
    async with open_client(gateway, reads) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert tools == ["mesh_status", "dag_query", "market_book", "usage_report"]
        with pytest.raises(MCPError):
            await client.call_tool("mesh_ask", {"prompt": "hi"})
    async with open_client(gateway, spends) as client:
        with pytest.raises(MCPError):
            await client.read_resource("mesh://status")
        bid = {"model": "m", "lots": 1, "max_ruv": "0.75"}
        assert not (await client.call_tool("market_place_bid", bid)).is_error
        result = await client.call_tool("market_place_bid", bid)
        assert "0.25 ruv left today" in result.content[0].text
    async with aiohttp.ClientSession() as session:
        for token, status in ((other, 403), ("wrong", 401)):
            async with session.post(
                f"http://{gateway.api}/mcp", json={}, headers={"Authorization": f"Bearer {token}"}
            ) as response:
                assert response.status == status
    assert host.node.calls[-1][0] == "market_bid"


async def test_names_that_lead_here_from_elsewhere_are_refused(served):
    _, gateway, _ = served
    headers = {
        "Authorization": f"Bearer {gateway.token.reveal()}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    async with aiohttp.ClientSession() as session:
        url = f"http://{gateway.api}/mcp"
        for extra, status in (
            ({}, 200),
            ({"Host": "evil.example"}, 403),
            ({"Origin": "http://evil.example"}, 403),
            ({"Content-Type": "text/plain"}, 400),
        ):
            async with session.post(url, data=body, headers={**headers, **extra}) as response:
                assert response.status == status
        async with session.get(url, headers=headers) as response:
            assert response.status == 405


async def test_node_without_the_extra_says_how_to_get_it(served, monkeypatch):
    _, gateway, _ = served
    monkeypatch.setattr(mcp_api, "find_spec", lambda _: None)
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"http://{gateway.api}/mcp",
            json={},
            headers={"Authorization": f"Bearer {gateway.token.reveal()}"},
        ) as response,
    ):
        assert response.status == 501
        assert "meshnode[mcp]" in (await response.json())["error"]["hint"]


async def test_one_node_after_another_in_one_process(tmp_path):
    for _ in range(2):
        async with open_gateway(home=tmp_path) as (host, gateway), open_client(gateway) as client:
            host.node.status_view = replace(host.node.status_view, name="bob")
            assert read(await client.call_tool("mesh_status", {}))["node"] == "bob"
