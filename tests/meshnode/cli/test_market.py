"""`market`: what its commands ask of the node, and how they show what it answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from meshnode.cli.book_text import align_decimals, describe_spread, draw_bar, draw_sparkline
from meshnode.cli.market_text import describe_attributes, describe_contract
from meshnode.errors import CommandRejected
from tests.support.cli import run_command
from tests.support.trading_remote import (
    NOW_MS,
    VARIANT,
    TradingRemote,
    make_book,
    make_contract,
    make_entry,
    make_instrument,
    make_level,
    make_order,
    make_trade,
    make_update,
)
from tests.support.views import make_id


@pytest.fixture
def remote(monkeypatch):
    node = TradingRemote()
    node.stand_in(monkeypatch)
    return node


COMMANDS = [
    ["market", "offer", "m", "--price", "1", "--tokens", "1000", "--context", "8192"],
    ["market", "bid", "m", "--price", "1", "--tokens", "1000"],
    ["market", "cancel", "--all"],
    ["market", "book"],
    ["market", "watch"],
    ["market", "orders"],
    ["market", "trades"],
    ["market", "contracts"],
    ["market", "close", "3fa9c1"],
    ["market", "finalise", "3fa9c1"],
    ["market", "dispute", "3fa9c1", "--reason", "no answer"],
    ["market", "verdict", "3fa9c1", "--provider", "0"],
    ["market", "instruments"],
    ["market", "revoke", "m"],
    ["market", "attestations"],
    ["market", "audit"],
    ["market", "list", "m"],
    ["wallet", "balance"],
    ["wallet", "send", "bob", "1"],
    ["wallet", "stake", "1"],
    ["wallet", "unstake", "1"],
    ["wallet", "history"],
    ["wallet", "mint", "bob", "1"],
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_command_without_a_node_is_exit_3(capsys, arguments):
    outcome = run_command(capsys, *arguments)
    assert (outcome.code, "no node runs" in outcome.err) == (3, True)


@pytest.mark.parametrize(
    "arguments", [*(words[:2] for words in COMMANDS), ["market", "attest"], ["market", "hardware"]]
)
def test_help_has_an_example_and_fits(capsys, arguments):
    outcome = run_command(capsys, *arguments, "--help")
    assert f"\n  meshnode {' '.join(arguments)}" in outcome.out
    assert [line for line in outcome.out.splitlines() if len(line) > 80] == []


def test_wrong_subcommand_has_a_suggestion(capsys):
    outcome = run_command(capsys, "market", "boook")
    assert (outcome.code, "did you mean 'book'?" in outcome.err) == (2, True)


# --- looking ---------------------------------------------------------------------------------------


def test_book_is_a_ladder_that_fits(capsys, remote):
    outcome = run_command(capsys, "market", "book")
    lines = outcome.out.splitlines()
    assert lines[0] == (
        f"{VARIANT} ({make_id(VARIANT)[:8]}), own_weights, open; ruv per 1,000 tokens"
    )
    assert [line.split()[:4] for line in lines[2:4]] == [
        ["offer", "0.0025", "200,000", "2"],
        ["offer", "0.0021", "50,000", "1"],
    ]
    assert lines[4].strip() == "spread 0.0002 (9.52 %)"
    assert [line.split()[:4] for line in lines[5:7]] == [
        ["bid", "0.0019", "120,000", "3"],
        ["bid", "0.0015", "30,000", "1"],
    ]
    assert "128k 99.9% 2s rep 50% tee" in lines[2]
    assert lines[2].count("█") > lines[3].count("█") > 0
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in outcome.out
    assert remote.asked == [{"call": "book", "model": make_id(VARIANT), "depth": 10}]
    document = run_command(capsys, "market", "book", VARIANT, "--json").document
    assert document == json.loads(json.dumps(remote.book.to_json()))


def test_book_says_what_it_leaves_out(capsys, remote):
    remote.book = make_book(
        more_bids=3,
        more_offers=4,
        instrument=make_instrument(policy="contribution_only", variant="v" * 200),
        bids=tuple(make_level(10**12 - number, 2**20, 99_999) for number in range(3)),
    )
    outcome = run_command(capsys, "market", "book", VARIANT, "--depth", "2")
    assert "and 3 more; --depth shows more" in outcome.out
    assert "and 4 more" in outcome.out
    assert "payments are rewards" in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())


@pytest.mark.parametrize(
    ("bid", "offer", "text"),
    [
        (None, None, "nobody bids or offers"),
        (None, 2_000, "no bids; offered from 0.002"),
        (2_000, None, "no offers; bid up to 0.002"),
        (3_000, 2_000, "bids of 0.003 ask for more than offers of 0.002 promise"),
    ],
)
def test_spread_of_a_thin_book(bid, offer, text):
    assert describe_spread(make_instrument(best_bid_uruv=bid, best_offer_uruv=offer)) == text


def test_empty_book_is_drawn(capsys, remote):
    remote.book = make_book(
        bids=(), offers=(), instrument=make_instrument(best_bid_uruv=None, best_offer_uruv=None)
    )
    assert "nobody bids or offers" in run_command(capsys, "market", "book").out


def test_model_is_named_where_there_are_several(capsys, remote):
    remote.instruments = [make_instrument(variant=f"m{number}") for number in range(6)]
    outcome = run_command(capsys, "market", "book")
    assert (outcome.code, "there are 6 models; name one: m0, m1, m2, m3, ..." in outcome.err) == (
        4,
        True,
    )
    remote.instruments = []
    assert "nothing can be traded yet" in run_command(capsys, "market", "book").err


def test_bars_and_lines_of_prices():
    assert draw_bar(1, 1_000_000, 10) == "▏"
    assert draw_bar(5, 10, 10) == "█████"
    assert draw_bar(10, 10, 10) == "█" * 10
    assert draw_bar(0, 10, 10) == draw_bar(0, 0, 10) == ""
    assert draw_sparkline([1, 2, 3, 8], 10) == "▁▂▃█"
    assert draw_sparkline([5, 5], 10) == "▄▄"
    assert draw_sparkline([1, 2, 3], 2) == "▁█"
    assert draw_sparkline([], 2) == ""


def test_decimals_stand_below_each_other():
    assert align_decimals([2_000, 2_500, 10**6, 1]) == [
        "0.002000",
        "0.002500",
        "1.000000",
        "0.000001",
    ]
    assert align_decimals([2_000, 2_500]) == ["0.0020", "0.0025"]
    assert align_decimals([10**6, 2 * 10**6]) == ["1", "2"]
    assert align_decimals([]) == []


def test_attributes_in_few_characters():
    assert describe_attributes(make_level(1, 1).attributes) == "8k"
    attributes = make_level(1, 1, region=True, first_token_ms=10_000).attributes
    assert describe_attributes(attributes) == "8k 10s region"


def test_orders_are_this_nodes_unless_told_otherwise(capsys, remote):
    outcome = run_command(capsys, "market", "orders")
    assert remote.asked[0]["account"] == make_id("alice")
    assert outcome.out.splitlines()[2].split() == [
        make_id("order")[:8], "bid", VARIANT, "50,000", "0.002", "0.1001", "1", "h", "0", "min",
        "alice",
    ]  # fmt: skip
    run_command(capsys, "market", "orders", "--everybody", "--model", VARIANT, "--limit", "3")
    run_command(capsys, "market", "orders", "--account", "bob")
    assert remote.asked[1] == {"call": "orders", "account": None, "model": VARIANT, "limit": 3}
    assert remote.asked[2]["account"] == "bob"
    document = run_command(capsys, "market", "orders", "--json").document
    assert document["schema"] == "meshnode.market-orders/1"
    assert document["orders"][0]["margin_uruv"] == 100_000
    remote.orders = []
    assert "no open orders" in run_command(capsys, "market", "orders").out


def test_lists_fit_whatever_is_in_them(capsys, remote):
    long = "v" * 128
    remote.orders = [make_order(variant=long, account_name=long, price_uruv=2**40, lots=2**20)]
    remote.trades = [make_trade(variant=long, buyer_name=long, provider_name="\x1b[2Jx")]
    remote.contracts = [make_contract(variant=long, provider_name=long)]
    remote.instruments = [make_instrument(variant=long, policy="contribution_only")]
    remote.entries = [make_entry("contract_settled", detail=long, amount_uruv=2**62)]
    for words in (
        ("market", "trades"),
        ("market", "contracts"),
        ("market", "instruments"),
        ("wallet", "history"),
    ):
        outcome = run_command(capsys, *words)
        assert "\x1b" not in outcome.out
        assert [line for line in outcome.out.splitlines() if len(line) > 80] == []


def test_trades_are_listed(capsys, remote):
    outcome = run_command(capsys, "market", "trades")
    assert f"{make_id('contract')[:8]}" in outcome.out
    document = run_command(capsys, "market", "trades", "--json").document
    assert document["trades"][0]["price_uruv"] == 2_000
    remote.trades = []
    assert "nothing was traded yet" in run_command(capsys, "market", "trades").out


def test_contracts_are_listed_from_this_nodes_side(capsys, remote):
    remote.contracts = [
        make_contract(),
        make_contract(buyer=make_id("carol"), buyer_name="carol", provider=make_id("alice")),
        make_contract(phase="settled", due_ms=None),
    ]
    lines = run_command(capsys, "market", "contracts").out.splitlines()
    assert "from bob" in lines[2]
    assert "25.0 s" in lines[2]
    assert "to carol" in lines[3]
    assert lines[4].rstrip().endswith("-")
    document = run_command(capsys, "market", "contracts", "--ended", "--json").document
    assert remote.asked[-1]["ended"] is True
    assert len(document["contracts"]) == 3
    remote.contracts = []
    assert "`--ended` lists" in run_command(capsys, "market", "contracts").out
    assert run_command(capsys, "market", "contracts", "--ended").out == "no contracts\n"


def test_contract_is_shown_whole(capsys, remote):
    outcome = run_command(capsys, "market", "contracts", "ab12")
    assert remote.asked == [{"call": "contract", "contract": "ab12"}]
    for text in (
        "phase       delivering, moves on in 25.0 s",
        "for         30,000 tokens at 0.002 ruv per 1,000, guaranteed 99 %",
        "cost        0.024 ruv of 0.06 ruv",
        "receipt     number 3: 400 in, 11,900 out, 12,000 billed",
    ):
        assert text in outcome.out
    document = run_command(capsys, "market", "contracts", "ab12", "--json").document
    assert document["schema"] == "meshnode.market-contract/1"


def test_contract_tells_how_it_ended():
    contract = make_contract(
        phase="resolved",
        due_ms=None,
        ended_ms=NOW_MS,
        detail="price",
        reward=True,
        sla_bp=0,
        escrow_uruv=0,
        receipt=None,
        disputer=make_id("alice"),
        bond_uruv=6_000,
    )
    text = "\n".join(describe_contract(contract, NOW_MS))
    assert "resolved at " in text
    assert "(price)" in text
    assert "reward      0.024 ruv\n" in text
    assert "dispute     by the buyer, bond 0.006 ruv" in text
    other = make_contract(due_ms=None, disputer=make_id("bob"), receipt=None, phase="refunded")
    text = "\n".join(describe_contract(other, NOW_MS))
    assert "phase       refunded\n" in text
    assert "dispute     by the provider" in text
    receipt = make_contract().receipt
    assert receipt is not None
    last = make_contract(receipt=replace(receipt, seq=9, final=True))
    assert "number 9, the last" in "\n".join(describe_contract(last, NOW_MS))


def test_instruments_are_listed(capsys, remote):
    remote.instruments = [make_instrument(best_bid_uruv=None)]
    row = run_command(capsys, "market", "instruments").out.splitlines()[2].split()
    assert row == [make_id(VARIANT)[:8], VARIANT, "own_weights", "open", "-", "0.0021", "250,000"]
    document = run_command(capsys, "market", "instruments", "--json").document
    assert document["instruments"][0]["policy"] == "open"
    remote.instruments = []
    assert "nothing can be traded yet" in run_command(capsys, "market", "instruments").out


# --- watching --------------------------------------------------------------------------------------


def test_watch_writes_lines_into_a_pipe(capsys, remote):
    other = make_trade(model=make_id("other"), variant="other")
    remote.updates = [make_update(), make_update(trades=(other,)), make_update()]
    lines = run_command(capsys, "market", "watch", "--limit", "2").out.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"trade: 30,000 tokens at 0.002, alice from bob, contract {make_id('contract')[:8]}",
        f"alice: order placed {make_id('subject')[:8]} 0.25 ruv",
        f"trade: 30,000 tokens at 0.002, alice from bob, contract {make_id('contract')[:8]}",
        f"alice: order placed {make_id('subject')[:8]} 0.25 ruv",
    ]
    lines = run_command(capsys, "market", "watch", VARIANT).out.splitlines()
    assert len(lines) == 2


def test_watch_writes_json_lines(capsys, remote):
    remote.updates = [make_update(), make_update()]
    lines = run_command(capsys, "market", "watch", "--json", "--limit", "1").out.splitlines()
    assert [json.loads(line)["commit_index"] for line in lines] == [8]
    assert len(run_command(capsys, "market", "watch", "--json").out.splitlines()) == 2


def test_watch_ends_quietly_when_a_person_has_seen_enough(capsys, remote):
    remote.updates = [make_update(trades=()), asyncio.CancelledError()]
    outcome = run_command(capsys, "market", "watch")
    assert (outcome.code, outcome.err) == (0, "")


def test_watch_draws_the_book_in_a_terminal(capsys, remote, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    remote.trades = []
    remote.updates = [make_update(), make_update(trades=(make_trade(price_uruv=3_000),))]
    outcome = run_command(capsys, "market", "watch", "--depth", "3", "--limit", "2")
    assert outcome.code == 0
    assert "no trades yet" in outcome.out
    assert "price ▁█ 0.002 to 0.003" in outcome.out
    assert "\x1b[31m" in outcome.out
    assert remote.asked[-1] == {"call": "book", "model": make_id(VARIANT), "depth": 3}
    remote.updates = []
    assert run_command(capsys, "market", "watch").code == 0


def test_entry_without_amount_says_less(capsys, remote):
    remote.updates = [
        make_update(trades=(), entries=(make_entry("refused", amount_uruv=0, detail="not_due"),))
    ]
    line = run_command(capsys, "market", "watch").out.strip()
    assert line.endswith(f"alice: refused {make_id('subject')[:8]} (not due)")


# --- what validators move --------------------------------------------------------------------------


def test_listing_is_moved(capsys, remote):
    outcome = run_command(
        capsys, "market", "list", VARIANT, "--policy", "contribution_only", "--nonce", "2",
        "--backend-class", "api", "--in-weight-bp", "10000",
    )  # fmt: skip
    assert remote.asked == [
        {
            "call": "list",
            "variant": VARIANT,
            "policy": "contribution_only",
            "backend_class": "api",
            "in_weight_bp": 10_000,
            "nonce": 2,
            "wait_ms": 30_000,
        }
    ]
    assert "two thirds of the stake" in outcome.out


def test_refused_motion_is_exit_4(capsys, remote):
    remote.failures["list"] = CommandRejected("only validators move")
    assert run_command(capsys, "market", "list", VARIANT).code == 4
