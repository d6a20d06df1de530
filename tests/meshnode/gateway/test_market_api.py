"""The market over HTTP, as programs without our client see it."""

from __future__ import annotations

import base64
import json

import aiohttp
import pytest

from market.errors import Code
from market.orders import Code as OrderCode
from meshnode.errors import MarketRefused
from meshnode.gateway.problems import get_http_status, make_problem, read_problem
from meshnode.market_views import MarketUpdate
from tests.support.fake_market import UPDATE
from tests.support.fake_node import open_gateway


@pytest.fixture
async def http():
    async with open_gateway() as (host, gateway), aiohttp.ClientSession() as session:

        async def ask(method, path, body=None):
            headers = {"Authorization": f"Bearer {gateway.token.reveal()}"}
            async with session.request(
                method, f"http://{gateway.api}/api/v1/{path}", json=body, headers=headers
            ) as response:
                text = await response.text()
                return response.status, json.loads(text) if text.startswith("{") else text

        yield host.node, ask


async def test_documents_name_their_form(http):
    _, ask = http
    assert (await ask("GET", "market"))[1]["schema"] == "meshnode.market/1"
    assert (await ask("GET", "market/orders"))[1]["schema"] == "meshnode.orders/1"
    assert (await ask("GET", "wallet"))[1]["schema"] == "meshnode.wallet/1"


async def test_unknown_fields_and_queries_are_mistakes(http):
    fake, ask = http
    assert (await ask("POST", "wallet/stake", {"amount_uruv": 1, "ruv": 1}))[0] == 400
    assert (await ask("GET", "market/trades?of=bob"))[0] == 400
    assert (await ask("POST", "market/submit", {"batch_base64": "!"}))[0] == 400
    garbage = base64.b64encode(b"garbage").decode()
    status, body = await ask("POST", "market/submit", {"batch_base64": garbage})
    assert (status, body["error"]["code"]) == (400, "malformed_message")
    assert fake.calls == []


async def test_updates_are_events_with_the_index_of_their_commit(http):
    fake, ask = http
    status, text = await ask("GET", "market/events?after=2")
    assert status == 200
    lines = text.splitlines()
    assert lines[0] == ": connected"
    assert lines[2:4] == ["id: 3", "event: market_update"]
    assert MarketUpdate.from_json(json.loads(lines[4].removeprefix("data: "))) == UPDATE
    assert fake.calls == [("market_watch", (), {"after": 2})]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.MALFORMED, 400),
        (Code.INSUFFICIENT_FUNDS, 402),
        (Code.INSUFFICIENT_STAKE, 402),
        (Code.NOT_IN_COMMITTEE, 403),
        (OrderCode.UNKNOWN_ORDER, 404),
        (Code.WRONG_PHASE, 409),
        ("of_a_later_version", 409),
        (Code.RATE_LIMITED, 429),
    ],
)
async def test_refusal_says_by_its_status_what_is_missing(http, code, status):
    fake, ask = http
    fake.fails = MarketRefused("no", reason=str(code), hint="later")
    found, body = await ask("POST", "wallet/unstake", {"amount_uruv": 5})
    assert found == status == get_http_status(fake.fails)
    assert body["error"] == {
        "code": "market_refused",
        "message": "no",
        "hint": "later",
        "reason": str(code),
    }
    back = read_problem(make_problem(fake.fails))
    assert isinstance(back, MarketRefused)
    assert (back.message, back.reason) == ("no", str(code))


async def test_refusal_without_a_code_is_still_one():
    back = read_problem({"error": {"code": "market_refused", "message": "no"}})
    assert isinstance(back, MarketRefused)
    assert back.reason == ""
