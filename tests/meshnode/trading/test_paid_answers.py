"""Answers that are bought: matched, delivered, receipted, settled, and nothing paid beside that."""

from __future__ import annotations

import asyncio

import pytest

from market.amounts import compute_fee
from market.commands import Accept, Close, Decline, Finalise, PostReceipt
from meshnode.errors import (
    CommandRejected,
    DeadlineExceeded,
)
from meshnode.trading import room, settling
from meshnode.trading.errors import NoOffer, NotEnoughRuv
from tests.support.market_scene import RUV, get_account
from tests.support.serving_net import gated, until
from tests.support.trading_net import (
    BUYER,
    FIRST,
    MODEL,
    PRICE,
    engine,
)


async def test_answer_is_bought_delivered_and_settled(net):
    provider = await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert answer.text == "Hello world"
    assert answer.verified
    payment = answer.payment
    assert payment.cost_uruv == payment.tokens_billed > 0
    assert (payment.provider, payment.receipts) == (get_account(FIRST).hex(), 1)
    await net.settle()
    assert buyer.free == 1_000 * RUV - payment.cost_uruv
    assert (
        provider.free == 500 * RUV + payment.cost_uruv - compute_fee(payment.cost_uruv).total_uruv
    )
    # One settlement: the provider posts, both say that they will not dispute.
    assert len(provider.said(PostReceipt)) == 1
    assert buyer.said(PostReceipt) == buyer.said(Close) == []
    assert len(provider.said(Finalise)) == len(buyer.said(Finalise)) == 1


async def test_long_answer_is_receipted_lot_by_lot(net):
    text = "x" * 1_000
    await net.add(FIRST, engine(*[text] * 20), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer(answer_tokens=6_000)
    assert len(answer.text) == 20_000
    assert answer.payment.tokens_out == 5_000
    assert answer.payment.receipts >= 5
    await net.settle()


async def test_slow_answer_is_receipted_by_time(net, monkeypatch):
    monkeypatch.setattr("market.metering.RECEIPT_EVERY_MS", 20)
    slow = gated("first words", model=MODEL)
    await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.answer())
    await slow.entered.wait()
    await until(lambda: any(buyer.room.records._rows.values()))
    slow.gate.set()
    assert (await asking).payment.receipts >= 2
    await net.settle()


async def test_answer_without_words_costs_nothing(net):
    await net.add(FIRST, engine(""), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert (answer.text, answer.payment.cost_uruv) == ("", 0)
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_model_of_the_contract_is_asked_whatever_the_question_calls_it(net):
    served = engine()
    await net.add(FIRST, served, price=PRICE)
    buyer = await net.add(BUYER)
    await buyer.answer(model="auto")
    assert served.requests[0]["model"] == MODEL
    assert served.requests[0]["max_tokens"] == 1_000


# --- what cannot be bought ------------------------------------------------------------------------


async def test_nothing_is_bid_where_nobody_offers_at_this_price(net):
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(NoOffer, match=r"for 0\.000999 ruv") as caught:
        await buyer.ask(max_price_uruv=PRICE - 1)
    assert caught.value.hint == "the best offer asks 0.001"
    assert buyer.port.said == []


async def test_nothing_is_bid_where_nobody_offers(net):
    buyer = await net.add(BUYER)
    with pytest.raises(NoOffer, match="nobody offers this now"):
        await buyer.ask()
    with pytest.raises(NoOffer, match="called 'other'"):
        await buyer.ask(model="other")


async def test_nothing_is_bid_where_who_offers_cannot_be_asked(net):
    provider = await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    provider.room.is_wanted = lambda _: True
    await net.serving.stop(provider.node)
    await until(lambda: not buyer.node.ready)
    with pytest.raises(NoOffer, match=r"does not answer; tried before: .* cannot be reached"):
        await buyer.ask()
    with pytest.raises(NoOffer, match="does not answer"):
        await buyer.ask()


async def test_nothing_is_bid_without_the_money(net):
    await net.add(FIRST, engine(), price=600 * RUV, lots=2)
    buyer = await net.add(BUYER)
    with pytest.raises(NotEnoughRuv, match=r"has 1000 ruv free, and the bid needs 1200\.0001"):
        await buyer.ask(max_price_uruv=600 * RUV)


async def test_refused_bid_is_told(net):
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(CommandRejected, match="the bid was refused"):
        await buyer.ask(max_price_uruv=1_001)  # off the grid of prices
    buyer.port.status = "pending"
    with pytest.raises(DeadlineExceeded, match="no place in the order"):
        await buyer.ask()


# --- several contracts ----------------------------------------------------------------------------


async def test_contract_that_is_not_used_is_closed_at_once(net):
    provider = await net.add(FIRST, engine(), price=PRICE, lots=1)
    net.scene.offer(FIRST, PRICE, 5)
    buyer = await net.add(BUYER)
    answer = await buyer.answer(answer_tokens=2_500)
    assert answer.payment.lots == 2
    await net.settle()
    assert len(provider.said(Accept)) == 2
    assert len(buyer.said(Close)) == 1
    assert buyer.free == 1_000 * RUV - answer.payment.cost_uruv


async def test_contract_that_nobody_asks_under_is_closed(net, monkeypatch):
    monkeypatch.setattr(settling, "UNCLAIMED_MS", 50)
    monkeypatch.setattr(room, "LOOK_EVERY_MS", 20)
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    net.scene.bid(BUYER, PRICE, 3)
    net.ring()
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_node_takes_no_more_tasks_than_it_has_places_for(net):
    provider = await net.add(FIRST, gated(model=MODEL), price=PRICE)
    buyer = await net.add(BUYER)
    asking = [asyncio.create_task(buyer.ask()) for _ in range(4)]
    await until(lambda: len(provider.said(Decline)) == 1)
    assert len(provider.said(Accept)) == 3
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    await net.settle()


async def test_budget_is_kept(net):
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer(max_spend_uruv=1_500, answer_tokens=9_000)
    assert answer.payment.lots == 1
    with pytest.raises(CommandRejected, match="left to spend"):
        await buyer.ask(max_spend_uruv=900)
    await net.settle()
