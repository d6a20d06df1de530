"""Decisions over HTTP, as programs without our client see them."""

from __future__ import annotations

import json

import aiohttp
import pytest

from tests.support.fake_node import DECISION, VERTEX, open_gateway


@pytest.fixture
async def http():
    async with open_gateway() as (_, gateway), aiohttp.ClientSession() as session:

        async def call(method, path, body=None, token=None):
            headers = {"Authorization": f"Bearer {token or gateway.token.reveal()}"}
            url = f"http://{gateway.api}{path}"
            data = None if body is None else json.dumps(body)
            async with session.request(method, url, headers=headers, data=data) as response:
                return response.status, await response.json()

        yield call


def plain(data):
    return json.loads(json.dumps(data))


async def test_documents_name_their_form(http):
    status, data = await http("GET", "/api/v1/decisions?status=open")
    assert (status, data["schema"]) == (200, "meshnode.decisions/1")
    assert data["decisions"] == [plain(DECISION.to_json())]
    status, data = await http("GET", "/api/v1/decisions/ab12")
    assert (status, data) == (200, plain(DECISION.to_json()))
    assert data["schema"] == "meshnode.decision/1"


async def test_posts_answer_the_vertex(http):
    for path, body in (
        ("/api/v1/decisions", {"question": "Tea?"}),
        ("/api/v1/decisions/ab12/vote", {"option": "yes"}),
        ("/api/v1/committee", {"profile": "cft"}),
    ):
        assert await http("POST", path, body) == (200, plain(VERTEX.to_json()))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/decisions", {}),
        ("/api/v1/decisions", {"question": "Tea?", "colour": "green"}),
        ("/api/v1/decisions/ab12/vote", {}),
        ("/api/v1/committee", {"stakes": {"bob": "much"}}),
    ],
)
async def test_unusable_bodies_are_refused(http, path, body):
    assert (await http("POST", path, body))[0] == 400


async def test_strangers_neither_ask_nor_vote(http):
    for method, path in (("GET", "/api/v1/decisions"), ("POST", "/api/v1/committee")):
        assert (await http(method, path, {} if method == "POST" else None, "wrong"))[0] == 401
