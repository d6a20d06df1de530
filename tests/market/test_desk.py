"""Orders and their money: every trade is covered, every margin comes back, bonds deter."""

from __future__ import annotations

import msgspec
import pytest

from dag.canonical import encode
from dag.errors import MalformedMessage
from market import desk as module
from market.amounts import ORDER_BOND_URUV
from market.commands import CancelAll, CancelOrder, ReduceOrder, ReplaceOrder, Revoke
from market.instruments import LOTS_MAX, ORDER_LIFE_MAX_MS, PRICE_MAX_URUV
from market.orders import Side, TimeInForce
from market.reputation import EPOCH_MS, PRIOR_URUV
from market.stores import SNAPSHOT_DECODER
from tests.support.market_scene import LISTING, RUV, MarketScene, get_account, make_tiers

BUYER, PROVIDER, OTHER = 4, 5, 6
IOC = TimeInForce.IOC
FOK = TimeInForce.FOK


@pytest.fixture
def scene() -> MarketScene:
    made = MarketScene()
    made.list_model()
    made.make_provider(PROVIDER)
    return made


def money(scene: MarketScene, account: int) -> tuple[int, int, int]:
    row = scene.state.ledger.get(get_account(account))
    return row.free, row.reserved, row.staked


# --- margins --------------------------------------------------------------------------------------


def test_bid_reserves_its_price_and_a_bond(scene: MarketScene):
    scene.bid(BUYER, 1_000, 10)
    assert money(scene, BUYER) == (1_000 * RUV - 10_100, 10_100, 0)


def test_offer_reserves_its_collateral_from_the_stake(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 10)
    assert money(scene, PROVIDER) == (500 * RUV - 100, 2_100, 500 * RUV - 2_000)


def test_improvement_goes_back_to_the_buyer_at_once(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 4)
    scene.bid(BUYER, 1_500, 10)
    assert money(scene, BUYER) == (1_000 * RUV - 4_000 - 9_000, 9_000, 0)
    assert scene.find_contract().price == 1_000


def test_what_does_not_trade_at_once_comes_back(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 4)
    scene.bid(BUYER, 1_000, 10, time_in_force=IOC)
    assert money(scene, BUYER) == (1_000 * RUV - 4_000, 0, 0)
    assert len(scene.state.desk.orders) == 0


def test_market_bid_spends_at_most_its_budget(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 4)
    scene.offer(PROVIDER, 2_000, 4)
    scene.bid(BUYER, None, 10, time_in_force=IOC, budget=7_500)
    contracts = scene.state.contracts.rows.rows()
    assert sorted(each.escrow for each in contracts) == [2_000, 4_000]
    assert money(scene, BUYER) == (1_000 * RUV - 6_000, 0, 0)


def test_market_offer_puts_up_collateral_for_what_it_trades(scene: MarketScene):
    scene.bid(BUYER, 1_000, 4)
    scene.offer(PROVIDER, None, 10, time_in_force=IOC, budget=50_000)
    assert scene.find_contract().collateral == 800
    assert money(scene, PROVIDER) == (500 * RUV, 0, 500 * RUV - 800)


def test_offer_that_fills_in_parts_puts_up_its_collateral_and_no_more(scene: MarketScene):
    scene.offer(PROVIDER, 1_003, 7)
    for _ in range(7):
        scene.bid(BUYER, 1_003, 1)
    scene.offer(PROVIDER, 1_003, 7)
    for _ in range(7):
        scene.bid(BUYER, 1_010, 1)
    collateral = sum(each.collateral for each in scene.state.contracts.rows.rows())
    assert collateral in (0, 1_405, 2_810)


# --- taking back ----------------------------------------------------------------------------------


def test_order_taken_back_at_once_loses_its_bond(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, CancelOrder(order))
    assert money(scene, BUYER) == (1_000 * RUV - ORDER_BOND_URUV, 0, 0)
    assert scene.state.ledger.totals.burned == ORDER_BOND_URUV


def test_order_taken_back_later_keeps_its_bond(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    scene.wait(100)
    scene.say(BUYER, CancelOrder(order))
    assert money(scene, BUYER) == (1_000 * RUV, 0, 0)


def test_order_that_expires_keeps_its_bond(scene: MarketScene):
    scene.bid(BUYER, 1_000, 10, time_in_force=TimeInForce.GTD, expires_ms=scene.time_ms + 300)
    scene.wait(100)
    assert money(scene, BUYER)[1] == 10_100
    scene.wait(100)
    assert money(scene, BUYER) == (1_000 * RUV, 0, 0)
    assert scene.kinds() == ["order_closed"]


def test_reduction_frees_its_part_and_to_nothing_counts_as_taking_back(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, ReduceOrder(order, 4))
    assert money(scene, BUYER) == (1_000 * RUV - 4_100, 4_100, 0)
    other = scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, ReduceOrder(other, 0))
    assert scene.state.ledger.totals.burned == ORDER_BOND_URUV


def test_cancel_all_takes_back_one_model_or_all(scene: MarketScene):
    first = scene.model
    scene.bid(BUYER, 1_000, 10)
    scene.list_model(type(LISTING)("other", "own_weights", 0, "open", 0))
    scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, CancelAll(first))
    assert [row.model for row in scene.state.desk.orders.rows()] == [scene.model]
    scene.say(BUYER, CancelAll())
    assert len(scene.state.desk.orders) == 0
    scene.say(BUYER, CancelAll())
    assert scene.kinds() == []


@pytest.mark.parametrize(("price", "lots"), [(2_000, 10), (500, 10), (1_000, 30), (2_000, 2)])
def test_replacement_reserves_what_the_new_order_needs(scene: MarketScene, price: int, lots: int):
    order = scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, ReplaceOrder(order, price, lots))
    assert money(scene, BUYER)[1] == price * lots + 100
    scene.offer(PROVIDER, price, lots)
    assert money(scene, BUYER) == (1_000 * RUV - price * lots, 0, 0)


def test_smaller_replacement_at_the_same_price_is_a_reduction(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    later = scene.bid(OTHER, 1_000, 10)
    scene.say(BUYER, ReplaceOrder(order, 1_000, 5))
    book = scene.state.desk.books[scene.model]
    assert [each.id for each in book.list_resting(Side.BID)] == [order, later]
    assert money(scene, BUYER)[1] == 5_100


def test_replacement_that_crosses_trades(scene: MarketScene):
    scene.offer(PROVIDER, 2_000, 4)
    order = scene.bid(BUYER, 1_000, 10)
    scene.say(BUYER, ReplaceOrder(order, 2_500, 10))
    assert scene.find_contract().escrow == 8_000
    assert money(scene, BUYER) == (1_000 * RUV - 8_000 - 15_000, 15_000, 0)


def test_replacement_is_refused_without_effect(scene: MarketScene):
    order = scene.bid(BUYER, 1_000, 10)
    for account, price, lots, code in (
        (OTHER, 2_000, 10, "foreign_order"),
        (BUYER, 1_001, 10, "off_tick"),
        (BUYER, 0, 10, "bad_price"),
        (BUYER, PRICE_MAX_URUV, 10, "insufficient_funds"),
        (BUYER, 2_000, 0, "bad_lots"),
        (BUYER, 10, 10, "out_of_range"),
    ):
        scene.say(account, ReplaceOrder(order, price, lots))
        assert scene.codes() == [code]
        assert money(scene, BUYER) == (1_000 * RUV - 10_100, 10_100, 0)


@pytest.mark.parametrize("make", [CancelOrder, lambda order: ReduceOrder(order, 1)])
def test_foreign_or_unknown_order_is_left_alone(scene: MarketScene, make):
    order = scene.bid(BUYER, 1_000, 10)
    scene.say(OTHER, make(order))
    assert scene.codes() == ["foreign_order"]
    scene.offer(PROVIDER, 1_000, 10)
    for stale in (order, bytes(32)):
        scene.say(BUYER, make(stale))
        assert scene.codes() == ["unknown_order"]


def test_self_trade_takes_out_the_order_that_rested(scene: MarketScene):
    scene.bid(PROVIDER, 1_000, 10)
    scene.offer(PROVIDER, 1_000, 10)
    assert len(scene.state.contracts.rows) == 0
    assert money(scene, PROVIDER) == (500 * RUV - 100, 2_100, 500 * RUV - 2_000)


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "lots", "changes", "code"),
    [
        (1_001, 10, {}, "off_tick"),
        (0, 10, {}, "bad_price"),
        (-5, 10, {}, "bad_price"),
        (PRICE_MAX_URUV + 100, 1, {}, "bad_price"),
        (1_000, 0, {}, "bad_lots"),
        (1_000, -1, {}, "bad_lots"),
        (1_000, LOTS_MAX + 1, {}, "bad_lots"),
        (100, 9, {}, "out_of_range"),
        (1_000, 10, {"tiers": -1}, "bad_tiers"),
        (1_000, 10, {"budget": 5}, "bad_budget"),
        (None, 10, {"time_in_force": IOC}, "bad_budget"),
        (None, 10, {"budget": 5_000}, "bad_terms"),
        (None, 0, {"budget": 5_000, "time_in_force": IOC}, "bad_lots"),
        (1_000, 10, {"time_in_force": TimeInForce.GTD}, "bad_expiry"),
        (1_000, 10, {"epochs": 3}, "bad_terms"),
        (1_000, 10, {"time_in_force": FOK}, "cannot_fill"),
        (1_000_000, 1_001, {}, "insufficient_funds"),
        (1_000_000, 1_000, {}, "insufficient_funds"),
    ],
)
def test_bid_is_refused_without_effect(
    scene: MarketScene, price: int | None, lots: int, changes: dict, code: str
):
    quiet = MarketScene()
    quiet.list_model()
    quiet.make_provider(PROVIDER)
    scene.bid(BUYER, price, lots, **changes)
    quiet.wait(100)
    assert scene.codes() == [code]
    assert money(scene, BUYER) == (1_000 * RUV, 0, 0)
    assert scene.state.root() == quiet.state.root()


def test_offer_is_refused_without_attestation_or_stake(scene: MarketScene):
    scene.offer(OTHER, 1_000, 10)
    assert scene.codes() == ["not_attested"]
    scene.offer(PROVIDER, 1_000_000, 10_000)
    assert scene.codes() == ["insufficient_stake"]
    scene.say(OTHER, scene.make_attest())
    scene.offer(OTHER, 1_000, 10)
    assert scene.codes() == ["insufficient_stake"]


def test_order_for_an_unlisted_model_is_refused(scene: MarketScene):
    scene.model = bytes(32)
    scene.bid(BUYER, 1_000, 10)
    assert scene.codes() == ["unknown_model"]


def test_account_has_a_bounded_number_of_orders_and_models(
    scene: MarketScene, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "ORDERS_PER_ACCOUNT_MAX", 2)
    monkeypatch.setattr(module, "MODELS_PER_ACCOUNT_MAX", 1)
    scene.bid(BUYER, 1_000, 10)
    first = scene.model
    scene.list_model(type(LISTING)("other", "own_weights", 0, "open", 0))
    scene.bid(BUYER, 1_000, 10)
    assert scene.codes() == ["too_many"]
    scene.model = first
    scene.bid(BUYER, 1_000, 10)
    assert scene.codes() == []
    scene.bid(BUYER, 1_000, 10)
    assert scene.codes() == ["too_many"]


# --- what comes by itself -------------------------------------------------------------------------


def test_revocation_ends_resting_offers_in_the_same_commit(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 10)
    scene.offer(PROVIDER, 1_000, 10, epochs=3)
    scene.bid(PROVIDER, 500, 10)
    scene.wait(100)
    scene.say(PROVIDER, Revoke(scene.model))
    assert [row.side for row in scene.state.desk.orders.rows()] == [Side.BID]
    assert money(scene, PROVIDER)[2] == 500 * RUV
    scene.offer(PROVIDER, 1_000, 10)
    assert scene.codes() == ["not_attested"]


def test_revocation_without_a_book_is_enough(scene: MarketScene):
    scene.say(PROVIDER, Revoke(scene.model))
    assert scene.kinds() == ["revoked"]


def test_rate_offer_shows_its_lots_anew_in_each_epoch(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 10, epochs=3)
    for sold in (10, 4, 0):
        assert money(scene, PROVIDER)[1] in (2_000, 2_100)
        if sold:
            scene.bid(BUYER, 1_000, sold, time_in_force=IOC)
        assert len(scene.state.desk.orders) == 1
        scene.wait(EPOCH_MS)
    assert len(scene.state.desk.orders) == 0
    scene.wait(30 * 24 * EPOCH_MS)
    assert money(scene, PROVIDER)[1:] == (0, 500 * RUV - 28)


def test_rate_offer_ends_when_its_collateral_is_gone(scene: MarketScene):
    scene.make_provider(OTHER, stake=2_000)
    scene.offer(OTHER, 1_000, 10, epochs=3)
    scene.bid(BUYER, 1_000, 6, time_in_force=IOC)
    scene.wait(100)
    contract = scene.find_contract()
    scene.state.ledger.take_penalty(get_account(OTHER), 0)
    assert contract.collateral == 1_200
    scene.wait(4_000)
    # The provider was silent, so a part of its collateral is the buyer's.
    scene.wait(EPOCH_MS)
    assert len(scene.state.desk.orders) == 0
    assert money(scene, OTHER)[1] == 0


def test_reputation_of_the_account_decides_the_tier_of_its_offers(scene: MarketScene):
    account = get_account(PROVIDER)
    scene.offer(PROVIDER, 1_000, 10, tiers=make_tiers(reputation=4))
    scene.bid(BUYER, 1_000, 10, tiers=make_tiers(reputation=1))
    assert len(scene.state.contracts.rows) == 0
    reputation = scene.state._parts.reputation
    reputation.credit(account, PRIOR_URUV, scene.time_ms)
    assert scene.state.get_reputation(account) > 2_000
    scene.wait(EPOCH_MS)
    assert scene.find_contract().lots == 10


def test_orders_live_a_day_at_most(scene: MarketScene):
    scene.bid(BUYER, 1_000, 10)
    assert scene.state.next_deadline() is not None
    scene.wait(ORDER_LIFE_MAX_MS)
    assert len(scene.state.desk.orders) == 0
    scene.wait(EPOCH_MS)
    assert scene.state.next_deadline() is None or len(scene.state.motions.rows)


def test_forbidding_a_model_ends_all_offers(scene: MarketScene):
    scene.offer(PROVIDER, 1_000, 10)
    listing = type(LISTING)("kimi-k2/fp8", "own_weights", 2_500, "forbidden", 1)
    for member in range(3):
        scene.say(member, listing)
    assert len(scene.state.desk.orders) == 0
    scene.bid(BUYER, 1_000, 10)
    assert scene.codes() == ["model_forbidden"]


def test_book_that_was_emptied_goes_on_counting(scene: MarketScene):
    for number in (1, 2):
        scene.offer(PROVIDER, 1_000, 4)
        scene.bid(BUYER, 1_000, 4)
        book = scene.state.desk.books[scene.model]
        assert len(book) == 0
        assert book.describe().trades == number
        assert book.describe().seq == 2 * number


def test_stored_orders_and_books_must_name_each_other(scene: MarketScene):
    scene.bid(BUYER, 1_000, 10)
    stored = SNAPSHOT_DECODER.decode(scene.state.snapshot())
    (row,) = stored.orders
    for orders in ((), ((bytes(32), row[1]),), (row, (bytes(32), row[1]))):
        broken = encode(msgspec.structs.replace(stored, orders=orders))
        with pytest.raises(MalformedMessage, match="no market"):
            scene.state.restore(broken)
