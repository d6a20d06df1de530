"""`wallet`: exact amounts in, exact amounts out."""

from __future__ import annotations

import pytest

from tests.support.cli import run_command
from tests.support.trading_remote import (
    NOW_MS,
    TradingRemote,
    make_entry,
    make_outcome,
    make_wallet,
)
from tests.support.views import make_id


@pytest.fixture
def remote(monkeypatch):
    node = TradingRemote(outcome=make_outcome("transfer"))
    for name in ("wallet", "market_committee"):
        monkeypatch.setattr(f"meshnode.cli.{name}.connect", lambda home: node)
    monkeypatch.setattr("meshnode.cli.wallet.read_now_ms", lambda: NOW_MS)
    return node


def test_balance_says_where_the_money_is(capsys, remote):
    lines = run_command(capsys, "wallet", "balance").out.splitlines()
    assert lines == [
        f"account     alice ({make_id('alice')[:8]})",
        "free        12.5 ruv",
        "reserved    0.1001 ruv for 1 open order",
        "staked      100 ruv",
        "unbonding   5 ruv, free in 1 d 1 h",
        "in escrow   0.06 ruv as a buyer, in 1 contract",
        "collateral  0 ruv as a provider",
        "reputation  41.2 %",
    ]
    document = run_command(capsys, "wallet", "balance", "bob", "--json").document
    assert remote.asked[-1] == {"call": "wallet", "account": "bob"}
    assert (document["schema"], document["free_uruv"]) == ("meshnode.wallet/1", 12_500_000)


def test_balance_leaves_out_what_is_not_there(capsys, remote):
    remote.money = make_wallet(unbondings=(), live_contracts=0)
    out = run_command(capsys, "wallet", "balance").out
    assert "unbonding" not in out
    assert "escrow" not in out


@pytest.mark.parametrize(
    ("text", "uruv"), [("12.5", 12_500_000), ("300uruv", 300), ("0.25ruv", 250_000)]
)
def test_money_is_sent_exactly(capsys, remote, text, uruv):
    outcome = run_command(capsys, "wallet", "send", "bob", text, "--memo", "lunch")
    assert remote.asked[0] == {
        "call": "send",
        "receiver": "bob",
        "amount_uruv": uruv,
        "memo": "lunch",
        "wait_ms": 30_000,
    }
    assert outcome.out.startswith("sent ")


def test_stake_goes_in_and_out(capsys, remote):
    assert run_command(capsys, "wallet", "stake", "100").out == "staked 100 ruv\n"
    outcome = run_command(capsys, "wallet", "unstake", "50", "--timeout", "0")
    assert outcome.out == "50 ruv of the stake are free in 14 days\n"
    assert [(asked["call"], asked["amount_uruv"], asked["wait_ms"]) for asked in remote.asked] == [
        ("stake", 100_000_000, 30_000),
        ("unstake", 50_000_000, 0),
    ]


@pytest.mark.parametrize("text", ["0", "0.0000001", "1e3", "all", "0.5uruv"])
def test_amount_that_is_not_exact_is_exit_2(capsys, remote, text):
    outcome = run_command(capsys, "wallet", "send", "bob", text)
    assert (outcome.code, remote.asked) == (2, [])
    assert "the amount" in outcome.err


def test_history_is_a_table(capsys, remote):
    remote.entries = [
        make_entry("refused", 8, detail="insufficient_funds", amount_uruv=0),
        make_entry("received", 7),
    ]
    lines = run_command(capsys, "wallet", "history", "--limit", "2").out.splitlines()
    assert lines[0].split() == ["commit", "time", "what", "ruv", "subject", "detail"]
    assert "insufficient funds" in lines[2]
    assert "0.25" in lines[3]
    document = run_command(capsys, "wallet", "history", "--json").document
    assert document["history"][1]["amount_uruv"] == 250_000
    remote.entries = []
    assert "nothing has happened" in run_command(capsys, "wallet", "history").out


def test_new_money_is_moved(capsys, remote):
    outcome = run_command(capsys, "wallet", "mint", "bob", "100", "--nonce", "1")
    assert "moved that bob gets 100 ruv" in outcome.out
    assert remote.asked[0]["amount_uruv"] == 100_000_000
