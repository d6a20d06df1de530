"""Providers that decline, fail or go: others are asked, and what was signed is paid."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from market.commands import Accept, Decline, Finalise
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    DeadlineExceeded,
)
from meshnode.serving.question import Question
from meshnode.trading import buying, settling
from meshnode.trading.errors import NoOffer
from meshnode.trading.purchase import Wish
from tests.support.market_scene import RUV, get_account
from tests.support.serving_net import REQUEST, failing, gated, until
from tests.support.trading_net import (
    BUYER,
    FIRST,
    LOT_BYTES,
    MODEL,
    PRICE,
    SECOND,
    Trader,
    engine,
)


async def test_next_provider_is_asked_where_one_declines(net):
    await net.add(FIRST, engine(model="something else"), price=PRICE - 1)
    second = await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert answer.payment.provider == get_account(SECOND).hex()
    assert answer.attempts == (f"{get_account(FIRST).hex()[:8]} did not take the task",)
    assert len(second.said(Accept)) == 1
    await net.settle()


async def test_engine_that_serves_its_owner_takes_no_task(net):
    provider = await net.add(FIRST, engine(shareable=False), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(NoOffer, match="tried before"):
        await buyer.ask()
    assert len(provider.said(Decline)) == 1
    assert buyer.free == 1_000 * RUV


async def test_next_provider_is_asked_where_one_does_not_answer(net, monkeypatch):
    monkeypatch.setattr(buying, "ACCEPTED_MS", 200)
    first = await net.add(FIRST, engine(), price=PRICE - 1)
    first.port.mutes = (Accept,)
    await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert answer.payment.provider == get_account(SECOND).hex()
    # Its time passes: all comes back, and a part of the collateral with it.
    net.pass_time(6_000)
    await net.settle()
    assert buyer.free > 1_000 * RUV - answer.payment.cost_uruv


async def test_next_provider_is_asked_where_one_goes_before_it_answers(net):
    first = await net.add(FIRST, engine(), price=PRICE - 1)
    first.port.mutes = (Accept,)
    await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.answer())
    await until(lambda: first.said(Accept))
    await net.stop(first)
    await until(lambda: len(buyer.node.ready) == 1)
    net.pass_time(100)
    answer = await asyncio.wait_for(asking, 5)
    assert answer.payment.provider == get_account(SECOND).hex()


async def test_next_provider_is_asked_where_one_goes_while_the_bid_finds_its_place(
    net, monkeypatch
):
    first = await net.add(FIRST, engine(), price=PRICE - 1)
    first.port.mutes = (Accept,)
    await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    submit = buyer.port.submit
    gone: list[Trader] = []

    async def lose_first(commands, *, wait_ms):
        submission = await submit(commands, wait_ms=wait_ms)
        if not gone:
            gone.append(first)
            await net.stop(first)
            await until(lambda: len(buyer.node.ready) == 1)
        return submission

    monkeypatch.setattr(buyer.port, "submit", lose_first)
    answer = await asyncio.wait_for(buyer.answer(), buying.ACCEPTED_MS / 2_000)
    assert answer.payment.provider == get_account(SECOND).hex()


async def test_next_provider_is_asked_where_one_fails_before_its_first_word(net):
    broken = failing(EngineError(EngineFault.INTERNAL, "broken"), model=MODEL)
    await net.add(FIRST, broken, price=PRICE - 1)
    await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert answer.payment.provider == get_account(SECOND).hex()
    assert "broken" in answer.attempts[0]
    await net.settle()
    assert buyer.free == 1_000 * RUV - answer.payment.cost_uruv


async def test_lots_of_who_is_gone_are_bought_and_given_back(net, monkeypatch):
    monkeypatch.setattr(buying, "ACCEPTED_MS", 100)
    gone = await net.add(FIRST, engine(), price=PRICE - 1, lots=7)
    second = await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    await net.stop(gone)
    answers = await asyncio.gather(*(buyer.answer() for _ in range(3)))
    again = await buyer.answer()
    for answer in (*answers, again):
        assert answer.payment.provider == get_account(SECOND).hex()
    assert again.attempts == ()
    # Nobody's lots but those of the one that is gone were bought in vain.
    assert len(second.said(Accept)) == 4
    net.pass_time(6_000)
    await net.settle()
    assert buyer.free >= 1_000 * RUV - sum(each.payment.cost_uruv for each in (*answers, again))


async def test_fault_of_the_question_is_told_at_once(net):
    refusing = failing(EngineError(EngineFault.CONTEXT_OVERFLOW, "too long"), model=MODEL)
    await net.add(FIRST, refusing, price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(EngineError, match="too long"):
        await buyer.ask()
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_bids_come_to_an_end(net, monkeypatch):
    monkeypatch.setattr(buying, "ATTEMPTS_MAX", 1)
    broken = failing(EngineError(EngineFault.INTERNAL, "broken"), model=MODEL)
    await net.add(FIRST, broken, price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(EngineError, match="1 bids led to no answer"):
        await buyer.ask()


async def test_question_ends_with_its_time(net):
    slow = gated(model=MODEL)
    await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(DeadlineExceeded):
        await buyer.ask(timeout_ms=300)
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_time_may_run_out_between_bids(net):
    broken = failing(EngineError(EngineFault.INTERNAL, "broken"), model=MODEL)
    await net.add(FIRST, broken, price=PRICE)
    buyer = await net.add(BUYER)
    purchase = buying._Purchase(Question(request=REQUEST, timeout_ms=1), Wish(max_price_uruv=1), 0)
    purchase.tried.append("somebody: broken")
    with pytest.raises(DeadlineExceeded, match="somebody: broken"):
        buyer.buyer._count_left_ms(purchase)


async def test_answer_that_breaks_off_costs_what_was_signed(net, monkeypatch):
    monkeypatch.setattr(settling, "POST_GRACE_MS", 50)
    breaking = failing(
        EngineError(EngineFault.INTERNAL, "broken"), "x" * LOT_BYTES, "y", model=MODEL
    )
    await net.add(FIRST, breaking, price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(AnswerInterrupted) as caught:
        await buyer.ask(answer_tokens=2_000)
    assert len(caught.value.text) == LOT_BYTES + 1
    await net.settle()
    spent = 1_000 * RUV - buyer.free
    assert PRICE <= spent <= PRICE + 20


async def test_killed_provider_is_paid_what_was_signed_and_not_more(net):
    slow = gated("x" * LOT_BYTES, "y" * 400, model=MODEL)
    provider = await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.ask(answer_tokens=3_000))
    await until(lambda: any(record.signed for record in buyer.room.records._rows.values()))
    await net.stop(provider)
    with pytest.raises(AnswerInterrupted):
        await asking
    # The buyer itself posts what it has signed; nobody disputes it, and time settles it.
    await until(lambda: len(buyer.said(Finalise)) == 1)
    (contract,) = buyer.find_contracts()
    assert contract.phase == "claimable"
    assert PRICE < contract.cost < PRICE + 10
    spent = contract.cost
    net.pass_time(600_000)
    await net.settle()
    assert buyer.free == 1_000 * RUV - spent


async def test_leaving_buyer_pays_what_it_signed(net):
    slow = gated("x" * LOT_BYTES, "y" * 400, model=MODEL)
    await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    question = Question(request=REQUEST)
    wish = Wish(max_price_uruv=PRICE, answer_tokens=3_000)
    async with aclosing(buyer.buyer.stream(question, wish)) as items:
        async for _ in items:
            if any(record.signed for record in buyer.room.records._rows.values()):
                break
    await asyncio.wait_for(slow.stopped.wait(), 5)
    await net.settle()
    assert PRICE < 1_000 * RUV - buyer.free < PRICE + 10
