"""What is bid for a question."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from market.commands import ListMotion
from market.instruments import PRICE_MAX_URUV
from market.orders import TimeInForce
from market.tiers import STANDARD_TIERS
from meshnode.errors import CommandRejected
from meshnode.trading.errors import NoOffer, NotEnoughRuv
from meshnode.trading.purchase import (
    ANSWER_TOKENS,
    CLEARED_LOTS_MAX,
    Plan,
    Wish,
    count_answer_tokens,
    floor_price,
    plan_purchase,
)
from tests.support.market_scene import RUV, MarketScene, get_account, make_tiers

BUYER, FIRST, SECOND = 4, 5, 6


@pytest.fixture
def scene():
    scene = MarketScene()
    scene.list_model()
    for provider in (FIRST, SECOND):
        scene.make_provider(provider)
    return scene


def plan(
    scene: MarketScene, *, tokens: int = 100, doubtful: Sequence[int] = (), spent: int = 0, **wish
) -> Plan:
    return plan_purchase(
        scene.state,
        get_account(BUYER),
        Wish(**{"max_price_uruv": 1_000, **wish}),
        question_tokens=tokens,
        doubtful=[get_account(each) for each in doubtful],
        spent_uruv=spent,
    )


def test_bid_is_immediate_at_the_highest_price_for_what_the_answer_may_take(scene):
    scene.offer(FIRST, 800, 50)
    made = plan(scene, tokens=4_000, answer_tokens=2_500)
    order = made.order
    assert (order.price, order.lots, made.lots_needed) == (1_000, 4, 4)
    assert order.time_in_force is TimeInForce.IOC
    assert made.answer_tokens == 2_500
    assert plan(scene).lots_needed == 2  # the usual answer, and the question
    assert plan(scene).answer_tokens == ANSWER_TOKENS


def test_bid_is_worth_what_an_order_must_be(scene):
    scene.offer(FIRST, 100, 50)
    assert plan(scene, max_price_uruv=100, answer_tokens=10).order.lots == 10
    assert plan(scene, max_price_uruv=100, answer_tokens=10).lots_needed == 1


def test_attributes_become_tiers(scene):
    scene.offer(FIRST, 700, 50)
    scene.offer(SECOND, 900, 50, tiers=make_tiers(context=2, sla=1, latency=1))
    made = plan(scene, context_tokens=60_000, sla_bp=9_000, first_token_ms=10_000)
    assert STANDARD_TIERS.unpack(made.order.tiers)[:3] == (2, 1, 1)
    with pytest.raises(NoOffer, match="nobody offers this now"):
        plan(scene, reputation_bp=5_000)
    with pytest.raises(CommandRejected, match="no tier promises context_tokens"):
        plan(scene, context_tokens=1_000_000)


@pytest.mark.parametrize("price", [0, PRICE_MAX_URUV + 1])
def test_price_is_within_its_bounds(scene, price: int):
    with pytest.raises(CommandRejected, match="cannot be bid"):
        plan(scene, max_price_uruv=price)


def test_cheapest_of_the_meant_models_is_bid_for(scene):
    first = scene.model
    scene.offer(FIRST, 900, 50)
    scene.list_model(ListMotion("kimi-k2/int4", "own_weights", 2_500, "open", 1))
    for provider in (FIRST, SECOND):
        scene.make_provider(provider, stake=100 * RUV)
    scene.offer(SECOND, 500, 50)
    assert plan(scene, model="kimi-k2").order.model == scene.model
    assert plan(scene, model="kimi-k2/fp8").order.model == first
    assert plan(scene, doubtful=[SECOND]).order.model == first


def test_model_that_its_terms_forbid_is_not_bid_for(scene):
    scene.offer(FIRST, 900, 50)
    scene.list_model(ListMotion("kimi-k2/fp8", "own_weights", 2_500, "forbidden", 2))
    with pytest.raises(NoOffer, match="no model on the market"):
        plan(scene)


def test_own_offers_are_not_bought(scene):
    scene.make_provider(BUYER)
    scene.offer(BUYER, 500, 50)
    with pytest.raises(NoOffer, match="nobody offers this now"):
        plan(scene)


def test_offers_of_who_does_not_answer_are_cleared_for_what_they_ask(scene):
    scene.offer(FIRST, 700, 30)
    scene.offer(SECOND, 800, 50)
    assert plan(scene).clearing is None
    assert plan(scene, doubtful=[SECOND]).clearing is None
    clearing = plan(scene, doubtful=[FIRST]).clearing
    assert clearing is not None
    assert (clearing.price, clearing.lots) == (700, 30)
    scene.offer(FIRST, 600, 5_000)
    clearing = plan(scene, doubtful=[FIRST]).clearing
    assert clearing is not None
    assert (clearing.price, clearing.lots) == (700, CLEARED_LOTS_MAX)
    with pytest.raises(NoOffer, match="does not answer"):
        plan(scene, doubtful=[FIRST, SECOND])


def test_way_is_cleared_as_far_as_the_money_goes(scene):
    scene.offer(FIRST, 300 * RUV, 5)
    scene.offer(SECOND, 400 * RUV, 5)
    clearing = plan(scene, max_price_uruv=400 * RUV, answer_tokens=900, doubtful=[FIRST]).clearing
    assert clearing is not None
    assert clearing.lots == 1
    made = plan(scene, max_price_uruv=400 * RUV, doubtful=[FIRST])
    assert made.clearing is None


def test_small_offers_are_cleared_by_a_bid_worth_what_an_order_must_be(scene):
    scene.offer(FIRST, 500, 2)
    scene.offer(SECOND, 800, 50)
    scene.bid(BUYER, 500, 2, time_in_force=TimeInForce.FOK)
    scene.offer(FIRST, 10, 100)
    scene.bid(BUYER, 10, 100, time_in_force=TimeInForce.FOK)
    scene.offer(FIRST, 501, 2)
    scene.bid(BUYER, 1_000, 1, time_in_force=TimeInForce.IOC)
    clearing = plan(scene, doubtful=[FIRST]).clearing
    assert clearing is not None
    assert (clearing.price, clearing.lots) == (501, 2)


def test_lower_price_is_bid_where_the_highest_cannot_be_covered(scene):
    scene.offer(FIRST, 100 * RUV, 3)
    scene.offer(SECOND, 200 * RUV, 3)
    made = plan(scene, max_price_uruv=900 * RUV)
    assert (made.order.price, made.order.lots) == (100 * RUV, 2)
    with pytest.raises(NotEnoughRuv, match=r"1000 ruv free, and the bid needs 1200\.0001"):
        plan(scene, max_price_uruv=900 * RUV, answer_tokens=5_500)


def test_budget_bounds_lots_and_price(scene):
    scene.offer(FIRST, 1_000, 50)
    made = plan(scene, max_price_uruv=20_000, max_spend_uruv=3_500, answer_tokens=9_000)
    assert (made.order.lots, made.order.price) == (3, 1_160)
    assert made.answer_tokens == 2_975
    with pytest.raises(CommandRejected, match=r"0\.0005 ruv are left") as caught:
        plan(scene, max_spend_uruv=3_500, spent=3_000)
    assert "--max-ruv" in caught.value.hint


def test_budget_is_worth_what_an_order_must_be(scene):
    scene.offer(FIRST, 100, 50)
    with pytest.raises(CommandRejected, match=r"the least bid for this question is 0\.001"):
        plan(scene, max_spend_uruv=900, answer_tokens=50_000)


@pytest.mark.parametrize(
    ("price", "floor"), [(1, 1), (999, 999), (1_009, 1_000), (10_099, 10_000), (0, 0)]
)
def test_price_is_floored_to_the_grid(price: int, floor: int):
    assert floor_price(price) == floor


def test_answer_is_as_long_as_lots_pay_for(scene):
    model = scene.state.compliance.get_model(scene.model)
    assert count_answer_tokens(model, 400, 1, 5_000) == 900
    assert count_answer_tokens(model, 400, 1, 50) == 50
    assert count_answer_tokens(model, 40_000, 1, 50) == 1
