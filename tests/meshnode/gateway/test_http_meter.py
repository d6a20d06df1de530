"""Requests are counted by route, never by the path that a client chose."""

from __future__ import annotations

import asyncio

import aiohttp

from meshnode.gateway import app
from meshnode.gateway.http_meter import HttpMeter
from tests.support.fake_node import open_gateway


async def test_requests_count_by_route_and_status(monkeypatch):
    meter = HttpMeter()
    monkeypatch.setattr(app, "HttpMeter", lambda: meter)
    async with open_gateway() as (host, gateway), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {gateway.token.reveal()}"}
        for path in ("vertices/aa", "vertices/bb", "vertices?limit=0", "nowhere/1", "nowhere/2"):
            async with session.get(f"http://{gateway.api}/api/v1/{path}", headers=headers) as got:
                await got.read()
        assert dict(meter.read().answered) == {
            ("/api/v1/vertices/{id}", "200"): 2,
            ("/api/v1/vertices", "400"): 1,
            ("none", "404"): 2,
        }
        assert meter.read().running == 0
        host.node.hold = True
        asking = asyncio.create_task(
            session.post(f"http://{gateway.api}/api/v1/ask", json={"prompt": "x"}, headers=headers)
        )
        await host.node.waiting.wait()
        assert meter.read().running == 1
        asking.cancel()
        await asyncio.wait([asking])
        async with asyncio.timeout(5):
            await host.node.cancelled.wait()
            while meter.read().running:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert dict(meter.read().answered)["/api/v1/ask", "aborted"] == 1
