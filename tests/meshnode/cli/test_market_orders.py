"""`market offer`, `bid` and `cancel`: exact on their way to the node, and told in words."""

from __future__ import annotations

import pytest

from meshnode.errors import MarketRefused
from tests.support.cli import run_command
from tests.support.trading_remote import VARIANT, TradingRemote, make_outcome, make_trade
from tests.support.views import make_id


@pytest.fixture
def remote(monkeypatch):
    node = TradingRemote()
    node.stand_in(monkeypatch)
    return node


# --- offers ----------------------------------------------------------------------------------------

OFFER = ("market", "offer", VARIANT, "--tokens", "500000", "--context", "100000")


def test_offer_is_sent_in_the_units_of_the_book(capsys, remote):
    outcome = run_command(
        capsys, *OFFER, "--price", "0.002", "--sla", "99.5", "--first-token-s", "1.5",
        "--region", "--tee", "--renew-h", "8", "--lasts-h", "9", "--timeout", "5",
    )  # fmt: skip
    assert remote.asked == [
        {
            "call": "offer",
            "model": VARIANT,
            "price_uruv": 2_000,
            "lots": 500,
            "context_tokens": 65_536,
            "sla_bp": 9_900,
            "first_token_ms": 2_000,
            "flags": ("region", "tee"),
            "time_in_force": "gtc",
            "expires_in_ms": 9 * 3_600_000,
            "epochs": 8,
            "wait_ms": 5_000,
        }
    ]
    assert outcome.out == f"offer {make_id('outcome')[:8]}: 500,000 tokens wait in the book\n"


def test_offer_that_trades_tells_with_whom(capsys, remote):
    remote.outcome = make_outcome(trades=(make_trade(), make_trade(lots=20, price_uruv=1_000)))
    outcome = run_command(capsys, *OFFER, "--price-per-token", "0.000002", "--post-only")
    assert remote.asked[0]["time_in_force"] == "post_only"
    assert (remote.asked[0]["price_uruv"], remote.asked[0]["expires_in_ms"]) == (2_000, None)
    assert "50,000 of 500,000 tokens sold for 0.08 ruv and 450,000 tokens wait" in outcome.out
    assert f"30,000 tokens at 0.002, alice from bob, contract {make_id('contract')[:8]}" in (
        outcome.out
    )
    document = run_command(capsys, *OFFER, "--price", "0.002", "--json").document
    assert (document["schema"], document["status"], len(document["trades"])) == (
        "meshnode.market-outcome/1",
        "accepted",
        2,
    )


def test_dry_run_shows_the_conversion_and_asks_nobody(capsys):
    words = (*OFFER, "--price", "0.002", "--sla", "99.5", "--tee", "--dry-run")
    outcome = run_command(capsys, *words)
    assert outcome.code == 0
    for text in (
        "0.000002 ruv a token = 0.002 per 1,000 (2000 uruv a lot)",
        "500,000 = 500 lots, worth 1 ruv less a fee of 0.5 %",
        "65,536 tokens, the tier below your 100,000",
        "99 %, the tier below your 99.5 %",
        "within a day",
        "shows       tee",
        "1 ruv of the stake",
        "24 hours, or until all is sold",
    ):
        assert text in outcome.out
    assert all(len(line) <= 80 for line in outcome.out.splitlines())
    document = run_command(capsys, *words, "--json").document
    assert (document["schema"], document["price_uruv"], document["collateral_uruv"]) == (
        "meshnode.market-offer-plan/1",
        2_000,
        1_000_000,
    )


def test_dry_run_of_other_terms(capsys):
    outcome = run_command(
        capsys, "market", "offer", "m", "--price", "2000uruv", "--tokens", "1000", "--context",
        "8192", "--sla", "99.9", "--first-token-s", "10", "--renew-h", "2", "--dry-run",
    )  # fmt: skip
    assert "context     8,192 tokens\n" in outcome.out
    assert "guarantee   99.9 %\n" in outcome.out
    assert "first token within 10 s" in outcome.out
    assert "24 hours; all tokens anew for 2 hours" in outcome.out
    assert "1,000 = 1 lot," in outcome.out
    words = ("market", "offer", "m", "--price", "1", "--tokens", "1000", "--context", "8192")
    assert "guarantee   none\n" in run_command(capsys, *words, "--dry-run").out


def test_example_is_a_file_that_can_be_offered(capsys, remote, tmp_path):
    path = tmp_path / "offer.toml"
    text = run_command(capsys, "market", "offer", "--example").out
    path.write_text(text.replace("[hardware_spec]", "[other]").split("[other]")[0])
    outcome = run_command(capsys, "market", "offer", "--file", str(path))
    assert outcome.code == 0
    assert remote.asked[-1]["price_uruv"] == 2_000


def test_file_with_another_machine_than_attested_is_refused(capsys, remote, tmp_path):
    path = tmp_path / "offer.toml"
    path.write_text(run_command(capsys, "market", "offer", "--example").out)
    outcome = run_command(capsys, "market", "offer", "--file", str(path))
    assert (outcome.code, "attest again" in outcome.err) == (4, True)
    assert [asked["call"] for asked in remote.asked] == ["attestations"]
    remote.attestations = []
    assert run_command(capsys, "market", "offer", "--file", str(path)).code == 0


@pytest.mark.parametrize(
    ("provider", "code"), [("alice", 0), (make_id("alice")[:6], 0), ("mallory", 4)]
)
def test_file_of_another_provider_is_refused(capsys, remote, tmp_path, provider, code):
    path = tmp_path / "offer.toml"
    path.write_text(
        f'provider = "{provider}"\nmodel_variant = "m"\ncontext_limit = 8192\n'
        "price_per_token = 0.000002\ntokens = 1000\n"
    )
    outcome = run_command(capsys, "market", "offer", "--file", str(path))
    assert outcome.code == code
    assert ("the offer is by 'mallory', and this node is alice" in outcome.err) == bool(code)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["market", "offer"],
            "model_variant (from the command line) cannot be used: it is missing",
        ),
        ([*OFFER, "--price", "1", "--price-per-token", "1"], "say one thing"),
        ([*OFFER, "--price", "cheap"], "--price is no amount"),
        ([*OFFER, "--price", "0.001005"], "try 0.001 or 0.00101"),
        ([*OFFER, "--price", "1", "--sla", "0.99"], "looks like a fraction"),
        ([*OFFER, "--price", "1", "--file", "x"], "a file or options, not both"),
        (["market", "offer", "--file", "absent.toml"], "cannot be read"),
        (["market", "bid", "m"], "a bid needs --tokens"),
        (["market", "bid", "m", "--tokens", "1000", "--price", "1", "--max-ruv", "1"], "either"),
        (["market", "bid", "m", "--tokens", "1500", "--price", "1"], "no multiple of 1000"),
        (["market", "bid", "m", "--tokens", "1000", "--price", "1uruv"], "make it larger"),
        (["market", "bid", "m", "--tokens", "1000", "--max-ruv", "0"], "--max-ruv is nothing"),
        (
            ["market", "bid", "m", "--tokens", "1000", "--price", "1", "--context", "999999"],
            "no tier promises context_tokens",
        ),
        (
            ["market", "bid", "m", "--tokens", "1000", "--price", "1", "--reputation", "101"],
            "--reputation is more than 100",
        ),
        (["market", "cancel"], "name one order, or say --all"),
        (["market", "cancel", "ab", "--all"], "name one order, or say --all"),
        (["market", "cancel", "ab", "--model", "m"], "--model goes with --all"),
        (["market", "book", "--depth", "0"], "--depth"),
    ],
)
def test_what_cannot_be_meant_is_exit_2(capsys, remote, arguments, words):
    outcome = run_command(capsys, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert remote.asked == []


# --- bids ------------------------------------------------------------------------------------------

BID = ("market", "bid", VARIANT, "--tokens", "50000")


def test_bid_is_sent_in_the_units_of_the_book(capsys, remote):
    outcome = run_command(
        capsys, *BID, "--price", "0.002", "--context", "100000", "--sla", "99", "--first-token-s",
        "10", "--reputation", "50%", "--tee", "--lasts-h", "2",
    )  # fmt: skip
    assert remote.asked == [
        {
            "call": "bid",
            "model": VARIANT,
            "price_uruv": 2_000,
            "lots": 50,
            "context_tokens": 100_000,
            "sla_bp": 9_900,
            "first_token_ms": 10_000,
            "reputation_bp": 5_000,
            "flags": ("tee",),
            "time_in_force": "gtc",
            "expires_in_ms": 7_200_000,
            "budget_uruv": 0,
            "wait_ms": 30_000,
        }
    ]
    assert "50,000 tokens wait in the book" in outcome.out


def test_bid_with_a_budget_waits_for_nothing(capsys, remote):
    remote.outcome = make_outcome(trades=(make_trade(),))
    outcome = run_command(capsys, *BID, "--max-ruv", "0.5")
    asked = remote.asked[0]
    assert (asked["price_uruv"], asked["budget_uruv"], asked["time_in_force"]) == (
        None,
        500_000,
        "ioc",
    )
    assert asked["expires_in_ms"] is None
    assert "30,000 of 50,000 tokens bought for 0.06 ruv and 20,000 tokens were not to be had" in (
        outcome.out
    )


def test_whole_bid_has_nothing_left(capsys, remote):
    remote.outcome = make_outcome(trades=(make_trade(lots=50),))
    outcome = run_command(capsys, *BID, "--price", "0.002", "--type", "fok")
    assert outcome.out.splitlines()[0].endswith("50,000 of 50,000 tokens bought for 0.1 ruv")


def test_dry_bid_shows_its_cost(capsys):
    outcome = run_command(capsys, *BID, "--price", "0.002", "--dry-run")
    assert "costs at most 0.1 ruv" in outcome.out
    assert "at most at 0.002" in outcome.out
    outcome = run_command(capsys, *BID, "--max-ruv", "0.5", "--dry-run")
    assert "at any price" in outcome.out
    document = run_command(capsys, *BID, "--max-ruv", "0.5", "--dry-run", "--json").document
    assert (document["cost_uruv_max"], document["price_uruv"]) == (500_000, None)


def test_refusal_is_exit_4_with_its_reason(capsys, remote):
    remote.failures["bid"] = MarketRefused(
        "1 ruv is missing", reason="insufficient_funds", hint="receive ruv"
    )
    outcome = run_command(capsys, *BID, "--price", "0.002")
    assert (outcome.code, outcome.out) == (4, "")
    assert "1 ruv is missing; receive ruv" in outcome.err


def test_order_without_a_place_is_exit_5(capsys, remote):
    remote.outcome = make_outcome(status="pending")
    outcome = run_command(capsys, *BID, "--price", "0.002")
    assert (outcome.code, outcome.out) == (5, "")
    assert "has no place in the order yet" in outcome.err
    outcome = run_command(capsys, *BID, "--price", "0.002", "--json")
    assert (outcome.code, outcome.document["status"]) == (5, "pending")


def test_cancel_takes_one_back_or_all(capsys, remote):
    outcome = run_command(capsys, "market", "cancel", "ab12")
    assert outcome.out == "order ab12 taken back\n"
    outcome = run_command(capsys, "market", "cancel", "--all", "--model", VARIANT)
    assert outcome.out == f"all orders for {VARIANT} taken back\n"
    assert [(asked["order"], asked["model"]) for asked in remote.asked] == [
        ("ab12", None),
        (None, VARIANT),
    ]
