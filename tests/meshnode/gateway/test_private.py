"""The port that a node inside an application opens when it is asked for one."""

from __future__ import annotations

import sys

import aiohttp
import pytest

from meshnode.errors import ConfigError, NodeClosed
from meshnode.testing import mesh
from tests.support.door import open_door


async def test_application_decides_on_its_node_itself():
    async with open_door("echo") as door:
        assert (await door("GET", "/readyz"))[0] == 200
        for path, body in (("/api/v1/join", {"ticket": "mesh1x"}), ("/api/v1/shutdown", {})):
            status, data, _ = await door("POST", path, body)
            assert (status, data["error"]["code"]) == (400, "command_rejected")
        status, data, _ = await door("GET", "/api/v1/status")
        assert data["api_url"] == door.gateway.url


async def test_port_is_closed_with_the_node():
    async with mesh(1, validates=False, suite="ed25519") as (node,), aiohttp.ClientSession() as web:
        async with node.openai() as client:
            url = str(client.base_url)
            assert [model.id for model in (await client.models.list()).data] == ["echo"]
        await node.close()
        with pytest.raises(aiohttp.ClientConnectorError):
            await web.get(f"{url}models")
        with pytest.raises(NodeClosed):
            node.openai()


async def test_missing_sdk_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    async with mesh(1, validates=False, suite="ed25519") as (node,):
        with pytest.raises(ConfigError, match="needs the package openai"):
            node.openai()
