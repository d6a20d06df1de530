"""Who may do what at the HTTP interface: the owner, and keys by scope."""

from __future__ import annotations

import time

import aiohttp
import pytest

from meshnode.gateway import access
from meshnode.gateway.access import OWNER, Caller, Gatekeeper, find_scope
from meshnode.gateway.keys import create_key, revoke_key
from meshnode.secret import Secret
from tests.support.fake_node import open_gateway


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(autouse=True)
def _fresh_keys(monkeypatch):
    monkeypatch.setattr(access, "KEYS_AGE_S", 0)


@pytest.fixture
async def scene(tmp_path):
    async with (
        open_gateway(home=tmp_path) as (host, gateway),
        aiohttp.ClientSession() as session,
    ):

        async def ask(token, method, path, body=None):
            headers = {"Authorization": f"Bearer {token}"}
            url = f"http://{gateway.api}{path}"
            async with session.request(method, url, json=body, headers=headers) as response:
                return response.status, await response.json(), response.headers

        yield tmp_path, host, ask


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v1/models", "models"),
        ("GET", "/v1/models/a", "models"),
        ("POST", "/v1/chat/completions", "chat"),
        ("GET", "/v1/responses/x", "chat"),
        ("POST", "/api/v1/ask", "chat"),
        ("GET", "/api/v1/status", "read"),
        ("POST", "/api/v1/publish", "admin"),
        ("GET", "/api/v1/market/book", "market"),
        ("POST", "/api/v1/wallet/send", "market"),
        ("POST", "/mcp", "mcp"),
        ("GET", "/metrics", "metrics"),
        ("POST", "/api/v1/shutdown", "admin"),
        ("GET", "/elsewhere", "admin"),
    ],
)
def test_every_path_has_its_scope(method, path, scope):
    assert find_scope(method, path) == scope


def test_admin_holds_every_scope_and_so_does_the_owner(tmp_path):
    key, _ = create_key(tmp_path, name="a", now_ms=now_ms(), scopes=("admin",))
    assert Caller(key.id, key).may("market")
    assert OWNER.may("market")
    assert OWNER.is_owner


async def test_only_bearer_tokens_are_read(tmp_path):
    keeper = Gatekeeper(Secret("t"), None)
    assert await keeper.identify("Bearer t") is OWNER
    assert await keeper.identify("bearer  t") is OWNER
    for header in ("", "t", "Basic t", "Bearer", "Bearer x", "Bearer sk-mesh-x", "Bearer \udcff"):
        assert await keeper.identify(header) is None


async def test_key_does_what_its_scopes_say(scene):
    home, _, ask = scene
    _, token = create_key(home, name="a", now_ms=now_ms(), scopes=("models",))
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 200
    status, body, _ = await ask(token.reveal(), "POST", "/v1/chat/completions", {"messages": []})
    assert (status, body["error"]["code"]) == (403, "insufficient_scope")
    status, body, _ = await ask(token.reveal(), "GET", "/api/v1/status")
    assert (status, body["error"]["code"]) == (403, "insufficient_scope")


async def test_revoked_and_expired_keys_are_worthless(scene):
    home, _, ask = scene
    _, token = create_key(home, name="a", now_ms=now_ms())
    _, old = create_key(home, name="b", now_ms=now_ms(), expires_ms=now_ms())
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 200
    assert (await ask(old.reveal(), "GET", "/v1/models"))[0] == 401
    revoke_key(home, "a")
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 401


async def test_keys_are_taken_from_memory_for_a_moment(scene, monkeypatch):
    home, _, ask = scene
    monkeypatch.setattr(access, "KEYS_AGE_S", 3_600)
    _, token = create_key(home, name="a", now_ms=now_ms())
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 200
    revoke_key(home, "a")
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 200


async def test_damaged_keys_let_nobody_in_but_the_owner(scene, caplog):
    home, _, ask = scene
    _, token = create_key(home, name="a", now_ms=now_ms())
    (home / "api_keys.json").write_text("{")
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 401
    assert "no API key is accepted" in caplog.text
    assert token.reveal() not in caplog.text


async def test_limit_of_requests_is_429_in_both_forms(scene):
    home, _, ask = scene
    _, token = create_key(
        home, name="a", now_ms=now_ms(), scopes=("models", "read"), requests_per_min=1
    )
    assert (await ask(token.reveal(), "GET", "/v1/models"))[0] == 200
    status, body, headers = await ask(token.reveal(), "GET", "/v1/models")
    assert (status, body["error"]["type"]) == (429, "rate_limit_error")
    assert 0 < int(headers["Retry-After"]) <= 60
    status, body, headers = await ask(token.reveal(), "GET", "/api/v1/status")
    assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(headers["Retry-After"]) <= 60


async def test_paid_question_of_a_key_needs_a_bound_within_its_allowance(scene):
    home, host, ask = scene
    _, token = create_key(home, name="a", now_ms=now_ms(), day_uruv=10)
    body = {"prompt": "hi", "max_price_uruv": 5}
    status, data, _ = await ask(token.reveal(), "POST", "/api/v1/ask", body)
    assert (status, data["error"]["code"]) == (400, "invalid_request")
    for stream in (False, True):
        paid = {**body, "max_spend_uruv": 11, "stream": stream}
        status, data, _ = await ask(token.reveal(), "POST", "/api/v1/ask", paid)
        assert (status, data["error"]["code"]) == (402, "insufficient_ruv")
    assert host.node.calls == []
    paid = {**body, "max_spend_uruv": 10}
    assert (await ask(token.reveal(), "POST", "/api/v1/ask", paid))[0] == 200
    assert (await ask(token.reveal(), "POST", "/api/v1/ask", paid))[0] == 200  # it cost nothing
