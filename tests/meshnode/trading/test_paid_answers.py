"""Answers that are bought: matched, delivered, receipted, settled, and nothing paid beside that."""

from __future__ import annotations

import pytest

from market.amounts import compute_fee
from tests.support.market_scene import RUV, get_account
from tests.support.serving_net import ScriptedEngine
from tests.support.trading_net import BUYER, FIRST, PRICE, trading_net

MODEL = "kimi-k2"


def engine(*script, **options) -> ScriptedEngine:
    return ScriptedEngine(script or ("Hello", " world"), **{"model": MODEL, "slots": 4, **options})


@pytest.fixture
async def net(tmp_path):
    async with trading_net(tmp_path) as trading:
        yield trading


def free(net, number: int) -> int:
    return net.scene.state.ledger.get(get_account(number)).free


async def test_answer_is_bought_delivered_and_settled(net):
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert answer.text == "Hello world"
    assert answer.verified
    payment = answer.payment
    assert payment.cost_uruv == payment.tokens_billed > 0
    assert (payment.provider, payment.receipts) == (get_account(FIRST).hex(), 1)
    await net.settle()
    assert free(net, BUYER) == 1_000 * RUV - payment.cost_uruv
    fee = compute_fee(payment.cost_uruv)
    earned = payment.cost_uruv - fee.total_uruv
    assert free(net, FIRST) == 500 * RUV + earned
    assert net.scene.codes() == []
