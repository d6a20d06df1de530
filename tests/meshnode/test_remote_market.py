"""The market through the HTTP interface: every argument arrives, every answer comes back."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from market.commands import Close, Stake
from meshnode.client import connect
from meshnode.errors import MalformedMessage, MarketRefused
from tests.support.fake_market import UPDATE, VERTEX_ID, make_answers
from tests.support.fake_node import open_gateway

WAIT = {"wait_ms": 30_000}
DIGEST = "ef" * 32
BID = {
    "price_uruv": None,
    "lots": 3,
    "context_tokens": 9_000,
    "sla_bp": 9_900,
    "first_token_ms": 2_000,
    "reputation_bp": 5_000,
    "flags": ("tee",),
    "time_in_force": "ioc",
    "expires_in_ms": 5,
    "budget_uruv": 7_000,
    "wait_ms": 0,
}
OFFER = {
    "price_uruv": 20,
    "lots": 3,
    "context_tokens": 9_000,
    "sla_bp": 9_900,
    "first_token_ms": 2_000,
    "flags": ("region",),
    "time_in_force": "post_only",
    "expires_in_ms": 5,
    "epochs": 4,
    "wait_ms": 0,
}
ATTEST = {
    "backend": "own_weights",
    "terms_digest": DIGEST,
    "terms_version": "MIT",
    "hardware_digest": DIGEST,
    "daily_cap_lots": 9,
}
LISTING = {"policy": "forbidden", "backend_class": "gpu", "in_weight_bp": 1, "nonce": 2}
LISTED = {"account": "bob", "model": "kimi", "limit": 3}

CALLS = [
    ("market", (), {}, {}),
    ("market_instruments", (), {}, {}),
    ("market_book", ("kimi/fp8",), {"depth": 3}, {}),
    ("market_orders", (), {}, {"account": None, "model": None, "limit": 50}),
    ("market_orders", (), LISTED, {}),
    ("market_trades", (), LISTED, {}),
    ("market_contracts", (), {"account": "bob", "ended": True, "limit": 2}, {}),
    ("market_contracts", (), {}, {"account": None, "ended": False, "limit": 50}),
    ("market_contract", ("ab12",), {}, {}),
    ("market_attestations", (), LISTED, {}),
    ("market_reputation", ("bob",), {}, {}),
    ("market_audit", ("bob",), {"limit": 2}, {"after": None}),
    ("market_audit", ("bob",), {"limit": 2, "after": 7}, {}),
    ("market_bid", ("kimi/fp8",), BID, {}),
    ("market_offer", ("kimi/fp8",), OFFER, {}),
    ("market_cancel", ("ab12",), {}, {"model": None, **WAIT}),
    ("market_cancel", (None,), {"model": "kimi", "wait_ms": 5}, {}),
    ("market_attest", ("kimi/fp8",), ATTEST, WAIT),
    ("market_revoke", ("kimi/fp8",), {}, WAIT),
    ("market_list", ("kimi/fp8",), LISTING, WAIT),
    ("market_submit", ((Stake(5), Close(b"c" * 32)),), {"wait_ms": 9}, {}),
    ("market_submission", (VERTEX_ID,), {"wait_ms": 9}, {}),
    ("wallet", ("bob",), {}, {}),
    ("wallet_history", ("bob",), {"limit": 2}, {}),
    ("wallet_send", ("bob", 5), {"memo": "thanks"}, WAIT),
    ("wallet_stake", (5,), {}, WAIT),
    ("wallet_unstake", (5,), {}, WAIT),
    ("wallet_mint", ("bob", 5), {"nonce": 1}, WAIT),
]


@pytest.fixture
async def scene(tmp_path):
    async with open_gateway(tmp_path) as (host, _), connect(tmp_path) as node:
        yield host.node, node


@pytest.mark.parametrize(("name", "args", "options", "defaults"), CALLS)
async def test_call_arrives_with_every_argument_and_its_answer_comes_back(
    scene, name, args, options, defaults
):
    fake, node = scene
    assert await getattr(node, name)(*args, **options) == make_answers()[name]
    assert fake.calls == [(name, args, {**options, **defaults})]


async def test_own_account_is_asked_for_by_saying_nothing(scene):
    fake, node = scene
    for name in ("wallet", "wallet_history", "market_reputation", "market_audit"):
        await getattr(node, name)()
        assert fake.calls[-1][1] == (None,)


async def test_what_happens_comes_as_it_happens(scene):
    fake, node = scene
    async with aclosing(node.market_watch(after=3)) as updates:
        assert [update async for update in updates] == [UPDATE]
    assert fake.calls == [("market_watch", (), {"after": 3})]
    async with aclosing(node.market_watch()) as updates:
        await anext(updates)
    assert fake.calls[-1] == ("market_watch", (), {"after": None})


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: node.wallet_send("bob", 0),
        lambda node: node.wallet_stake(2**63),
        lambda node: node.market_bid("m", price_uruv=0, lots=1),
        lambda node: node.market_offer("m", price_uruv=1, lots=0),
        lambda node: node.market_attest("m", **{**ATTEST, "backend": "stolen"}),
        lambda node: node.market_list("m", policy="maybe"),
        lambda node: node.market_orders(limit=1_001),
        lambda node: node.market_book("m", depth=0),
        lambda node: node.market_contract("../x"),
        lambda node: node.market_submission("../x"),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_the_door(scene, ask):
    fake, node = scene
    with pytest.raises(MalformedMessage):
        await ask(node)
    assert fake.calls == []


async def test_refusal_of_the_market_is_the_clients_with_its_code(scene):
    fake, node = scene
    fake.fails = MarketRefused("too little", reason="insufficient_funds", hint="get some")
    with pytest.raises(MarketRefused, match="too little; get some") as caught:
        await node.wallet_send("bob", 5)
    assert caught.value.reason == "insufficient_funds"
