"""Contracts: every line of their table, and every refusal beside it."""

from __future__ import annotations

import itertools

import pytest

from market.amounts import compute_dispute_bond
from market.commands import (
    Accept,
    Close,
    Command,
    Decline,
    Dispute,
    Finalise,
    Settle,
    VerdictMotion,
)
from market.contracts import ACCEPT_MS, CHALLENGE_MS, IDLE_MS, VERDICT_MS, Contract
from market.tiers import STANDARD_TIERS
from tests.support.market_scene import PLAIN, RUV, MarketScene, get_account

BUYER, PROVIDER, STRANGER = 4, 5, 6


@pytest.fixture
def scene() -> MarketScene:
    made = MarketScene()
    made.list_model()
    made.make_provider(PROVIDER)
    return made


def free(scene: MarketScene, account: int) -> int:
    return scene.state.ledger.get(get_account(account)).free


def staked(scene: MarketScene, account: int) -> int:
    return scene.state.ledger.get(get_account(account)).staked


def deliver(scene: MarketScene, tokens: int = 4_000) -> Contract:
    contract = scene.deliver()
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, tokens)))
    assert not scene.codes()
    return contract


def verdict(contract: Contract, provider_bp: int, *, fraud: bool = False) -> VerdictMotion:
    return VerdictMotion(contract.id, provider_bp, 20, 10, "replay", bytes(32), fraud)


def dispute(contract: Contract) -> Dispute:
    return Dispute(contract.id, "wrong weights", bytes(32))


# --- locked ---------------------------------------------------------------------------------------


def test_trade_locks_escrow_and_collateral(scene: MarketScene):
    contract = scene.trade()
    assert (contract.phase, contract.escrow, contract.collateral) == ("locked", 10_000, 2_000)
    assert free(scene, BUYER) == 1_000 * RUV - 10_000
    assert staked(scene, PROVIDER) == 500 * RUV - 2_000


def test_decline_gives_everything_back(scene: MarketScene):
    contract = scene.trade()
    scene.say(PROVIDER, Decline(contract.id))
    assert free(scene, BUYER) == 1_000 * RUV
    assert staked(scene, PROVIDER) == 500 * RUV
    (window,) = scene.state.windows.rows.rows()
    assert window.misses == 0


def test_silence_of_the_provider_costs_a_part_of_its_collateral(scene: MarketScene):
    scene.trade()
    scene.wait(ACCEPT_MS - 101)
    assert scene.kinds() == []
    scene.wait(101)
    assert scene.kinds() == ["contract_refunded"] * 2
    assert free(scene, BUYER) == 1_000 * RUV + 20
    assert staked(scene, PROVIDER) == 500 * RUV - 20
    (window,) = scene.state.windows.rows.rows()
    assert window.misses == 1


# --- delivering -----------------------------------------------------------------------------------


def test_delivery_becomes_claimable_when_it_idles(scene: MarketScene):
    contract = deliver(scene)
    scene.wait(IDLE_MS)
    assert contract.phase == "claimable"


def test_delivery_becomes_claimable_at_its_end_whatever_comes(
    scene: MarketScene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("market.contracts.DURATION_MS", 4 * IDLE_MS)
    contract = scene.deliver()
    for seq in range(1, 5):
        assert contract.phase == "delivering"
        scene.say(BUYER, scene.post(scene.make_receipt(contract, seq, seq)), advance_ms=IDLE_MS - 1)
    scene.wait(4)
    assert contract.phase == "claimable"


def test_buyer_closes_and_nobody_else(scene: MarketScene):
    contract = deliver(scene)
    for account in (PROVIDER, STRANGER):
        scene.say(account, Close(contract.id))
        assert scene.codes() == ["foreign_contract"]
    scene.say(BUYER, Close(contract.id))
    assert contract.phase == "claimable"


# --- receipts -------------------------------------------------------------------------------------


def test_highest_receipt_wins_whatever_the_order_of_arrival():
    paid = set()
    for order in itertools.permutations((1, 2, 3)):
        scene = MarketScene()
        scene.list_model()
        scene.make_provider(PROVIDER)
        contract = scene.deliver()
        for seq in (*order, *order):
            scene.say(BUYER, scene.post(scene.make_receipt(contract, seq, seq * 1_000)))
        assert contract.receipt is not None
        assert contract.receipt.seq == 3
        scene.wait(IDLE_MS)
        scene.wait(CHALLENGE_MS)
        paid.add(free(scene, BUYER))
    assert paid == {1_000 * RUV - 3_000}


def test_receipt_counts_while_the_time_for_disputes_runs(scene: MarketScene):
    contract = deliver(scene)
    scene.say(BUYER, Close(contract.id))
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 2, 6_000)))
    assert contract.phase == "claimable"
    assert contract.cost == 6_000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"seq": 1}, "stale_receipt"),
        ({"tokens_out": 3_000, "tokens_billed": 3_000}, "bad_receipt"),
        ({"tokens_billed": 5_001}, "bad_receipt"),
        ({"tokens_out": 10_001, "tokens_billed": 10_001}, "bad_receipt"),
        ({"network": bytes(32)}, "wrong_network"),
        ({"contract": bytes(32)}, "unknown_contract"),
    ],
)
def test_receipt_is_refused_when_it_does_not_fit(scene: MarketScene, changes: dict, code: str):
    contract = deliver(scene)
    before = contract.receipt
    fields = {"seq": 2, "tokens": 5_000, **changes}
    scene.say(BUYER, scene.post(scene.make_receipt(contract, **fields)))
    assert scene.codes() == [code]
    assert contract.receipt == before


def test_receipt_with_fewer_tokens_in_is_refused(scene: MarketScene):
    contract = scene.deliver()
    for seq, tokens_in, billed in ((1, 400, 1_100), (2, 0, 2_000)):
        fields = {"tokens_in": tokens_in, "tokens_billed": billed}
        scene.say(BUYER, scene.post(scene.make_receipt(contract, seq, seq * 1_000, **fields)))
    assert scene.codes() == ["bad_receipt"]


def test_nothing_follows_a_final_receipt(scene: MarketScene):
    contract = scene.deliver()
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 1_000, final=True)))
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 2, 2_000)))
    assert scene.codes() == ["stale_receipt"]


@pytest.mark.parametrize("signers", [(4, 4), (5, 5), (6, 5), (4, 6), (5, 4)])
def test_receipt_is_refused_unless_both_sides_signed_it(scene: MarketScene, signers: tuple):
    contract = scene.deliver()
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 10), signers))
    assert scene.codes() == ["bad_signature"]
    assert contract.receipt is None


# --- claimable ------------------------------------------------------------------------------------


def test_settlement_pays_the_receipt_less_the_fee(scene: MarketScene):
    contract = deliver(scene)
    scene.say(BUYER, Close(contract.id))
    scene.say(STRANGER, Settle(contract.id))
    assert scene.codes() == ["not_due"]
    scene.wait(CHALLENGE_MS - 200)
    assert contract.phase == "claimable"
    scene.wait(200)
    assert scene.kinds() == ["contract_settled"] * 2
    assert free(scene, BUYER) == 1_000 * RUV - 4_000
    assert free(scene, PROVIDER) == 500 * RUV + 4_000 - 20
    assert scene.state.get_reputation(get_account(BUYER)) == 0


def test_contract_that_is_due_and_waits_may_be_settled_by_anybody(
    scene: MarketScene, monkeypatch: pytest.MonkeyPatch
):
    contract = deliver(scene)
    scene.say(BUYER, Close(contract.id))
    monkeypatch.setattr("market.state.DRAINED_MAX", 0)
    scene.say(STRANGER, Settle(contract.id), advance_ms=CHALLENGE_MS)
    assert scene.kinds() == ["contract_settled"] * 2


def test_nothing_waits_once_both_sides_have_said_so(scene: MarketScene):
    contract = deliver(scene)
    scene.say(BUYER, Close(contract.id))
    scene.say(PROVIDER, Finalise(contract.id))
    scene.say(PROVIDER, Finalise(contract.id))
    assert scene.codes() == ["already_done"]
    scene.say(STRANGER, Finalise(contract.id))
    assert scene.codes() == ["foreign_contract"]
    scene.say(BUYER, Finalise(contract.id))
    assert scene.kinds() == ["contract_settled"] * 2


# --- disputed -------------------------------------------------------------------------------------


def test_dispute_freezes_the_contract_and_takes_a_bond(scene: MarketScene):
    contract = deliver(scene)
    scene.say(BUYER, dispute(contract))
    assert (contract.phase, contract.bond) == ("disputed", compute_dispute_bond(10_000))
    for command in (
        scene.post(scene.make_receipt(contract, 2, 5_000)),
        Close(contract.id),
        dispute(contract),
        Finalise(contract.id),
        Settle(contract.id),
    ):
        scene.say(BUYER, command)
        assert scene.codes() == ["wrong_phase"]


def test_dispute_without_a_verdict_pays_the_receipts_and_returns_the_bond(scene: MarketScene):
    contract = deliver(scene)
    scene.say(BUYER, dispute(contract))
    scene.wait(VERDICT_MS)
    assert scene.kinds()[:1] != []
    assert free(scene, BUYER) == 1_000 * RUV - 4_000
    assert free(scene, PROVIDER) == 500 * RUV + 4_000 - 20


@pytest.mark.parametrize(
    ("disputer", "provider_bp", "buyer_pays", "buyer_bond_lost"),
    [
        (BUYER, 10_000, 4_000, True),
        (BUYER, 5_000, 2_000, False),
        (BUYER, 0, 0, False),
        (PROVIDER, 10_000, 4_000, False),
        (PROVIDER, 0, 0, False),
    ],
)
def test_verdict_divides_what_the_receipts_say(
    scene: MarketScene, disputer: int, provider_bp: int, buyer_pays: int, buyer_bond_lost: bool
):
    contract = deliver(scene)
    scene.say(disputer, dispute(contract))
    for member in range(3):
        scene.say(member, verdict(contract, provider_bp))
    assert "contract_resolved" in scene.kinds()
    lost = 1_000 if buyer_bond_lost else 0
    assert free(scene, BUYER) == 1_000 * RUV - buyer_pays - lost
    fee = buyer_pays * 50 // 10_000
    lost = 1_000 if disputer == PROVIDER and provider_bp < 10_000 else 0
    assert free(scene, PROVIDER) == 500 * RUV + buyer_pays - fee - lost
    assert staked(scene, PROVIDER) == 500 * RUV


def test_proven_fraud_refunds_the_buyer_and_burns_the_stake(scene: MarketScene):
    contract = deliver(scene)
    scene.offer(PROVIDER, 2_000, 50)
    scene.say(BUYER, dispute(contract))
    for member in range(3):
        scene.say(member, verdict(contract, 10_000, fraud=True))
    assert free(scene, BUYER) == 1_000 * RUV
    assert staked(scene, PROVIDER) == 0
    assert scene.state.ledger.totals.burned == 500 * RUV
    assert len(scene.state.desk.orders) == 0


# --- refusals -------------------------------------------------------------------------------------


def test_command_is_refused_when_contract_or_account_is_not_its(scene: MarketScene):
    contract = scene.trade()
    made: list[tuple[int, Command, str]] = [
        (PROVIDER, Accept(bytes(32)), "unknown_contract"),
        (BUYER, Accept(contract.id), "foreign_contract"),
        (BUYER, Decline(contract.id), "foreign_contract"),
        (BUYER, Close(contract.id), "wrong_phase"),
        (STRANGER, dispute(contract), "foreign_contract"),
        (BUYER, dispute(contract), "wrong_phase"),
        (BUYER, Settle(contract.id), "wrong_phase"),
        (BUYER, scene.post(scene.make_receipt(contract, 1, 5)), "wrong_phase"),
        (0, verdict(contract, 5_000), "wrong_phase"),
    ]
    for account, command, code in made:
        scene.say(account, command)
        assert scene.codes() == [code]
    scene.say(PROVIDER, Accept(contract.id))
    for command in (Accept(contract.id), Decline(contract.id)):
        scene.say(PROVIDER, command)
        assert scene.codes() == ["wrong_phase"]


def test_dispute_is_refused_when_its_bond_cannot_be_paid():
    scene = MarketScene(money=10_500)
    scene.list_model()
    scene.make_provider(PROVIDER, stake=4_000)
    contract = scene.deliver(lots=10)
    scene.say(BUYER, dispute(contract))
    assert scene.codes() == ["insufficient_funds"]
    assert contract.phase == "delivering"


def test_guarantee_decides_the_collateral(scene: MarketScene):
    tiers = STANDARD_TIERS.pack((0, 3, 0, 0, 0, 0))
    scene.offer(PROVIDER, 1_000, 10, tiers=tiers)
    scene.bid(BUYER, 1_000, 10, tiers=PLAIN)
    assert scene.find_contract().collateral == 20_000
