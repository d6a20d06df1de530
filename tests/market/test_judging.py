"""Penalties: bounded by what was put up, and every micro-ruv of them arrives somewhere."""

from __future__ import annotations

import pytest

from dag.canonical import encode
from market.commands import (
    Accept,
    Dispute,
    Finalise,
    ProveEquivocation,
    ReportProbes,
    VerdictMotion,
)
from market.contracts import Contract
from market.receipts import HalfSignedReceipt, Receipt, sign_receipt
from market.reputation import compute_fault
from market.sla import REPORT_GRACE_MS, WINDOW_MS
from tests.support.market_scene import RUV, MarketScene, get_account, get_secrets, make_tiers

BUYER, PROVIDER, OTHER = 4, 5, 6
GOOD, BAD = (True,) * 20, (False,) * 20


@pytest.fixture
def scene() -> MarketScene:
    made = MarketScene(members=5)
    made.list_model()
    made.make_provider(PROVIDER, stake=30_000)
    return made


def stake_of(scene: MarketScene, account: int) -> int:
    return scene.state.ledger.get(get_account(account)).staked


def report(scene: MarketScene, *outcomes: tuple[bool, ...]) -> None:
    (window,) = scene.state.windows.rows.rows()
    numbers = {get_account(each): each for each in range(8)}
    for prober, seen in zip(window.probers, outcomes, strict=False):
        command = ReportProbes(window.provider, window.number, seen)
        scene.say(numbers[prober], command)
        assert scene.codes() == []


def end_window(scene: MarketScene) -> None:
    scene.wait(WINDOW_MS - scene.time_ms % WINDOW_MS + REPORT_GRACE_MS)


def serve(scene: MarketScene, tokens: int = 10_000) -> None:
    """A contract with a guarantee of 99 % is delivered."""
    contract = guarantee(scene)
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, tokens, final=True)))


def guarantee(scene: MarketScene) -> Contract:
    scene.offer(PROVIDER, 1_000, 10, tiers=make_tiers(sla=2))
    scene.bid(BUYER, 1_000, 10)
    contract = scene.find_contract()
    scene.say(PROVIDER, Accept(contract.id))
    return contract


def test_broken_guarantee_compensates_the_buyers_and_burns_the_rest(scene: MarketScene):
    serve(scene)
    report(scene, *[BAD] * 5)
    end_window(scene)
    assert "slashed" in scene.kinds()
    # Half of the collateral of 10,000 is the most; the contract itself cost a fee of 50.
    assert stake_of(scene, PROVIDER) == 30_000 - 5_000
    assert scene.state.ledger.get(get_account(BUYER)).free == 1_000 * RUV - 10_000 + 2_500
    assert scene.state.ledger.totals.burned == 2_500 + 25
    standing = scene.state._parts.reputation.standings.get(get_account(PROVIDER))
    assert standing is not None
    assert standing.bad == compute_fault(10_000, 8)


def test_contract_that_is_still_live_counts_by_its_receipts(scene: MarketScene):
    contract = guarantee(scene)
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 300)))
    scene.say(BUYER, Dispute(contract.id, "", bytes(32)))
    report(scene, *[BAD] * 5)
    end_window(scene)
    assert contract.phase == "disputed"
    assert stake_of(scene, PROVIDER) == 30_000 - 10_000 - 5_000
    assert scene.state.ledger.get(get_account(BUYER)).free == 1_000 * RUV - 11_000 + 300


@pytest.mark.parametrize("paid", [300, 0])
def test_buyer_gets_no_more_than_it_paid(scene: MarketScene, paid: int):
    serve(scene, tokens=paid)
    report(scene, *[BAD] * 3)
    end_window(scene)
    fee = paid * 50 // 10_000
    assert scene.state.ledger.totals.burned == 5_000 - paid + fee


def test_settled_contract_counts_with_what_was_paid(scene: MarketScene):
    serve(scene, tokens=300)
    contract = scene.find_contract()
    for side in (BUYER, PROVIDER):
        scene.say(side, Finalise(contract.id))
    report(scene, *[BAD] * 3)
    end_window(scene)
    assert scene.state.ledger.get(get_account(BUYER)).free == 1_000 * RUV - 300 + 300


def test_margins_of_offers_are_no_shelter(scene: MarketScene):
    serve(scene)
    scene.offer(PROVIDER, 1_000, 100)
    scene.bid(OTHER, 1_000, 40)
    assert stake_of(scene, PROVIDER) == 0
    report(scene, *[BAD] * 3)
    end_window(scene)
    assert len(scene.state.desk.orders) == 0
    assert stake_of(scene, PROVIDER) == 30_000 - 5_000 - 80


@pytest.mark.parametrize(
    "outcomes",
    [
        (),
        (BAD, BAD),
        (GOOD, GOOD, GOOD, BAD, BAD),
        ((False,) * 19,) * 5,
        ((True,) * 17 + (False,) * 3,) * 5,
    ],
)
def test_guarantee_holds_where_chance_or_liars_explain_it(scene: MarketScene, outcomes: tuple):
    serve(scene)
    report(scene, *outcomes)
    end_window(scene)
    assert stake_of(scene, PROVIDER) == 30_000
    assert len(scene.state.windows.rows) == 0


def test_offer_without_a_guarantee_is_never_slashed(scene: MarketScene):
    scene.deliver()
    report(scene, *[BAD] * 5)
    end_window(scene)
    assert "slashed" not in scene.kinds()


def half(receipt: Receipt, signer: int) -> HalfSignedReceipt:
    return HalfSignedReceipt(encode(receipt), sign_receipt("ed25519", get_secrets(signer), receipt))


@pytest.mark.parametrize("culprit", [BUYER, PROVIDER])
def test_two_receipts_of_one_number_lose_the_contract_and_a_tenth_of_the_stake(
    scene: MarketScene, culprit: int
):
    contract = scene.deliver()
    proof = ProveEquivocation(
        half(scene.make_receipt(contract, 1, 10), culprit),
        half(scene.make_receipt(contract, 1, 20), culprit),
    )
    scene.say(OTHER, proof)
    assert "contract_resolved" in scene.kinds()
    buyer = scene.state.ledger.get(get_account(BUYER))
    assert buyer.free == 1_000 * RUV - (10_000 if culprit == BUYER else 0)
    assert stake_of(scene, PROVIDER) == (30_000 if culprit == BUYER else 27_000)
    scene.say(OTHER, proof)
    assert scene.codes() == ["unknown_contract"]


def test_proof_is_refused_when_it_proves_nothing(scene: MarketScene):
    contract = scene.deliver()
    first, second = (scene.make_receipt(contract, 1, tokens) for tokens in (10, 20))
    later = scene.make_receipt(contract, 2, 20)
    for one, other, code in (
        (half(first, BUYER), half(first, BUYER), "no_equivocation"),
        (half(first, BUYER), half(later, BUYER), "no_equivocation"),
        (half(first, BUYER), half(second, PROVIDER), "bad_signature"),
        (half(first, OTHER), half(second, OTHER), "bad_signature"),
    ):
        scene.say(OTHER, ProveEquivocation(one, other))
        assert scene.codes() == [code]


def test_disputer_who_lied_in_its_receipts_loses_its_bond(scene: MarketScene):
    contract = scene.deliver()
    scene.say(BUYER, Dispute(contract.id, "", bytes(32)))
    first, second = (scene.make_receipt(contract, 1, tokens) for tokens in (10, 20))
    scene.say(OTHER, ProveEquivocation(half(first, BUYER), half(second, BUYER)))
    assert scene.state.ledger.get(get_account(BUYER)).free == 1_000 * RUV - 11_000


@pytest.mark.parametrize(("provider_bp", "loser"), [(10_000, BUYER), (9_999, PROVIDER)])
def test_who_loses_a_dispute_stands_worse(scene: MarketScene, provider_bp: int, loser: int):
    contract = scene.deliver()
    scene.say(BUYER, Dispute(contract.id, "", bytes(32)))
    for member in range(4):
        scene.say(member, VerdictMotion(contract.id, provider_bp, 0, 0, "", bytes(32), fraud=False))
    standings = dict(scene.state._parts.reputation.standings.items())
    assert list(standings) == [get_account(loser)]
    assert standings[get_account(loser)].bad == compute_fault(10_000, 8)


def test_provider_who_disputes_and_is_right_leaves_the_buyer_as_it_stands(scene: MarketScene):
    contract = scene.deliver()
    scene.say(PROVIDER, Dispute(contract.id, "", bytes(32)))
    for member in range(4):
        scene.say(member, VerdictMotion(contract.id, 10_000, 0, 0, "", bytes(32), fraud=False))
    assert len(scene.state._parts.reputation.standings) == 0
