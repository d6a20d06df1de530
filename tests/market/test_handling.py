"""What commands do beside orders and contracts: money, stake, attestations, motions."""

from __future__ import annotations

from typing import get_args

import pytest

from market.accounts import UNBONDING_MS
from market.allowances import BURST
from market.amounts import SUPPLY_MAX
from market.commands import (
    Accept,
    Command,
    Dispute,
    ListMotion,
    MintMotion,
    PoolMotion,
    ReportProbes,
    Stake,
    Transfer,
    Unstake,
    VerdictMotion,
)
from market.motions import MOTION_LIFE_MS
from tests.support.market_scene import LISTING, RUV, MarketScene, get_account

BUYER, PROVIDER, OTHER = 4, 5, 6
NEW = bytes([9]) * 32


@pytest.fixture
def scene() -> MarketScene:
    return MarketScene()


def test_transfer_moves_money_and_opens_accounts(scene: MarketScene):
    scene.say(BUYER, Transfer(NEW, 5 * RUV, "for tea"))
    assert scene.kinds() == ["sent", "received"]
    assert scene.state.ledger.get(NEW).free == 5 * RUV
    assert scene.state.ledger.get(get_account(BUYER)).free == 995 * RUV


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Transfer(NEW, 0), "out_of_range"),
        (Transfer(NEW, -5), "out_of_range"),
        (Transfer(NEW, 2**63), "out_of_range"),
        (Transfer(NEW, 1_001 * RUV), "insufficient_funds"),
        (Transfer(b"short", 5), "out_of_range"),
        (Transfer(get_account(BUYER), 5), "same_account"),
        (Transfer(NEW, 5, "password=hunter2"), "credential"),
        (Stake(1_001 * RUV), "insufficient_funds"),
        (Stake(-1), "out_of_range"),
        (Unstake(1), "insufficient_stake"),
        (MintMotion(NEW, 5, 0), "not_in_committee"),
        (MintMotion(NEW, 0, 0), "out_of_range"),
        (MintMotion(b"", 5, 0), "out_of_range"),
        (PoolMotion(NEW, -1, 0), "out_of_range"),
        (ListMotion("", "x", 0, "open", 0), "out_of_range"),
        (ReportProbes(NEW, 0, (True,) * 4), "unknown_window"),
        (VerdictMotion(NEW, 10_001, 0, 0, "", b"", fraud=False), "out_of_range"),
        (VerdictMotion(NEW, 5, 0, 0, "api_key=x", b"", fraud=False), "credential"),
        (VerdictMotion(NEW, 5, 0, 0, "", b"", fraud=False), "unknown_contract"),
    ],
)
def test_command_is_refused_without_effect(scene: MarketScene, command: Command, code: str):
    quiet = MarketScene()
    quiet.wait(100)
    scene.say(BUYER, command)
    assert scene.codes() == [code]
    assert scene.state.root() == quiet.state.root()


def test_stake_comes_back_after_its_time(scene: MarketScene):
    scene.say(BUYER, Stake(5 * RUV))
    scene.say(BUYER, Unstake(2 * RUV))
    scene.wait(UNBONDING_MS - 1)
    assert scene.state.ledger.get(get_account(BUYER)).free == 995 * RUV
    scene.wait(1)
    assert scene.kinds() == ["unbonded"]
    assert scene.state.ledger.get(get_account(BUYER)).free == 997 * RUV


def test_committee_mints_by_two_thirds(scene: MarketScene):
    motion = MintMotion(NEW, 5 * RUV, 1)
    for member, minted in ((0, 0), (1, 0), (2, 5 * RUV)):
        scene.say(member, motion)
        assert scene.state.ledger.get(NEW).free == minted
    scene.say(3, motion)
    assert scene.codes() == ["already_done"]
    scene.wait(MOTION_LIFE_MS)
    assert len(scene.state.motions.rows) == 0


def test_committee_cannot_mint_beyond_the_supply(scene: MarketScene):
    motion = MintMotion(NEW, SUPPLY_MAX, 1)
    for member in range(3):
        scene.say(member, motion)
    assert scene.codes() == ["supply_exhausted"]
    assert scene.state.ledger.get(NEW).free == 0


def test_committee_spends_the_pool_and_no_more(scene: MarketScene):
    scene.list_model()
    scene.make_provider(PROVIDER)
    contract = scene.deliver()
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 10_000, final=True)))
    scene.wait(600_000)
    for amount, left in ((26, 25), (25, 0)):
        for member in range(3):
            scene.say(member, PoolMotion(NEW, amount, 0))
        assert scene.state.ledger.totals.pool == left
    assert scene.state.ledger.get(NEW).free == 25


def test_task_beyond_the_daily_cap_is_not_accepted(scene: MarketScene):
    scene.list_model()
    scene.say(PROVIDER, scene.make_attest(daily_cap_lots=9), Stake(100 * RUV))
    contract = scene.trade()
    scene.say(PROVIDER, Accept(contract.id))
    assert scene.codes() == ["daily_cap"]
    assert contract.phase == "locked"


def test_dispute_without_a_digest_or_with_a_secret_is_refused(scene: MarketScene):
    scene.list_model()
    scene.make_provider(PROVIDER)
    contract = scene.deliver()
    for reason, digest, code in (("", b"", "out_of_range"), ("token: abc", NEW, "credential")):
        scene.say(BUYER, Dispute(contract.id, reason, digest))
        assert scene.codes() == [code]


def test_account_says_no_more_than_its_allowance(scene: MarketScene):
    scene.say(BUYER, *[Stake(1)] * (BURST + 2))
    assert scene.codes() == ["rate_limited"] * 2
    assert scene.state.ledger.get(get_account(BUYER)).staked == BURST


def test_payment_for_a_contribution_is_called_a_reward(scene: MarketScene):
    scene.list_model(ListMotion("vendor", "own_account", 0, "contribution_only", 0))
    scene.say(PROVIDER, scene.make_attest(backend="own_account"), Stake(100 * RUV))
    contract = scene.deliver()
    assert contract.reward
    scene.say(BUYER, scene.post(scene.make_receipt(contract, 1, 10, final=True)))
    scene.wait(600_000)
    assert {event.detail for event in scene.state.events} == {"reward"}


def test_listing_again_changes_the_policy_only(scene: MarketScene):
    scene.list_model()
    for member in range(3):
        scene.say(member, type(LISTING)("kimi-k2/fp8", "own_weights", 2_500, "forbidden", 7))
    assert len(scene.state.compliance.models) == 1
    scene.say(PROVIDER, scene.make_attest())
    assert scene.codes() == ["model_forbidden"]


def test_every_command_there_is_has_a_route(scene: MarketScene):
    handler = scene.state._handler
    assert set(handler.routes) == set(get_args(Command))
