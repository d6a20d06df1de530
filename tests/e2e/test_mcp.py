"""`meshnode mcp serve` as a program that hosts models starts it, and `/mcp` of the same node."""

from __future__ import annotations

import json
import os
import sys

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from meshnode.gateway.mcp_tools import TOOLS
from tests.support.program import open_machine

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    with open_machine(tmp_path_factory.mktemp("mcp") / "home") as machine:
        machine.up("--engine", "echo", "--name", "ada")
        yield machine


def start(machine, *arguments):
    """The server as a child process, its words on this test's stderr."""
    environment = {name: value for name, value in os.environ.items() if "MESHNODE" not in name}
    return stdio_client(
        StdioServerParameters(
            command=sys.executable,
            args=["-m", "meshnode", "mcp", "serve", *arguments, "--home", str(machine.home)],
            env=environment,
        )
    )


def read_text(result):
    """Its only content, which is text."""
    (content,) = result.contents if hasattr(result, "contents") else result.content
    return content.text


async def test_stdio_client_asks_and_finds_the_answer_again(machine):
    async with Client(start(machine)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == [tool.name for tool in TOOLS if tool.scope != "market"]
        asked = await client.call_tool("mesh_ask", {"prompt": "hello from a tool"})
        answer = asked.structured_content
        assert "hello from a tool" in answer["text"]
        assert answer["verified"]
        found = await client.call_tool("dag_query", {"id": answer["vertex"]})
        assert found.structured_content["one"]["text"] == answer["text"]
        again = {"prompt": "and now?", "knowledge": [answer["vertex"]]}
        assert not (await client.call_tool("mesh_ask", again)).is_error
        paid = await client.call_tool("mesh_ask", {"prompt": "x", "max_ruv": "1"})
        assert paid.is_error
        assert "--max-ruv" in read_text(paid)
        models = await client.read_resource("mesh://models")
        assert json.loads(read_text(models))["models"][0]["model"] == "echo"


async def test_stdio_client_with_means_may_bid(machine):
    async with Client(start(machine, "--max-ruv", "0.5")) as client:
        bid = {"model": "nothing-listed", "lots": 1, "max_ruv": "0.25"}
        result = await client.call_tool("market_place_bid", bid)
        assert result.is_error  # nothing is listed in a new network
        too_much = await client.call_tool("market_place_bid", {**bid, "max_ruv": "0.75"})
        assert "this session has" in read_text(too_much)


async def test_http_client_reaches_the_same_node(machine):
    record = json.loads((machine.home / "runtime.json").read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {record['token']}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"http://{record['api']}/mcp", http_client=http)) as client,
    ):
        assert len((await client.list_tools()).tools) == len(TOOLS)
        status = (await client.call_tool("mesh_status", {})).structured_content
        assert status["node"] == "ada"
        asked = await client.call_tool("mesh_ask", {"prompt": "over HTTP"})
        assert "over HTTP" in asked.structured_content["text"]


def test_server_without_a_node_says_so_and_ends(tmp_path):
    with open_machine(tmp_path / "none") as machine:
        done = machine.run("mcp", "serve")
    assert done.returncode == 3
    assert "no node runs" in done.stderr
    assert done.stdout == ""


def test_health_of_a_real_node(machine):
    assert machine.succeed("health").startswith("ready, for ")
    assert machine.succeed("health", "--live") == "live\n"
