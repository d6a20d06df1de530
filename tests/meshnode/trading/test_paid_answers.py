"""Answers that are bought: matched, delivered, receipted, settled, and nothing paid beside that."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from market.amounts import LOT_TOKENS, compute_fee
from market.commands import Accept, Close, Decline, Finalise, PostReceipt, ProveEquivocation
from market.contracts import Contract
from market.metering import WINDOW_TOKENS, DeliveryMeter, make_terms
from meshnode.engines.base import EngineError, EngineFault
from meshnode.errors import (
    AnswerInterrupted,
    CommandRejected,
    DeadlineExceeded,
    InvalidMessage,
    NoPeerServes,
    StorageError,
)
from meshnode.routing.policy import Choice
from meshnode.routing.replica import Replica
from meshnode.serving.client import Question
from meshnode.serving.protocol import Countersign, Invoice
from meshnode.trading import buying, delivery, room, selling, settling
from meshnode.trading.delivery import PaidDelivery
from meshnode.trading.errors import InvoiceRefused, NoOffer, NotEnoughRuv
from meshnode.trading.payer import ContractPayer
from meshnode.trading.purchase import Wish
from meshnode.trading.records import DeliveryRecords, Record
from tests.support.market_scene import NETWORK, RUV, get_account
from tests.support.serving_net import REQUEST, ScriptedEngine, failing, gated, until
from tests.support.trading_net import (
    BUYER,
    FIRST,
    PRICE,
    SECOND,
    FakeTradePort,
    Trader,
    TradingNet,
    trading_net,
)

MODEL = "kimi-k2"
LOT_BYTES = LOT_TOKENS * 4


def engine(*script, **options) -> ScriptedEngine:
    return ScriptedEngine(script or ("Hello", " world"), **{"model": MODEL, "slots": 4, **options})


@pytest.fixture
async def net(tmp_path):
    async with trading_net(tmp_path) as trading:
        yield trading


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
    assert (await asking).payment.receipts == 2
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


# --- what cannot be bought -----------------------------------------------------------------------


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


# --- providers that fail -------------------------------------------------------------------------


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


# --- both sides may lie ---------------------------------------------------------------------------


async def test_provider_stops_when_receipts_stop(net, monkeypatch):
    monkeypatch.setattr(delivery, "SIGNATURE_MS", 100)

    async def never(self: ContractPayer, invoice: Invoice) -> None:
        return None

    monkeypatch.setattr(ContractPayer, "countersign", never)
    await net.add(FIRST, engine(*["x" * 400] * 40), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(AnswerInterrupted, match="has signed nothing") as caught:
        await buyer.ask(answer_tokens=5_000)
    assert len(caught.value.text) <= WINDOW_TOKENS * 4 + 400
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_last_word_is_awaited_only_so_long(net, monkeypatch):
    monkeypatch.setattr(delivery, "SIGNATURE_MS", 50)

    async def never(self: ContractPayer, invoice: Invoice) -> None:
        return None

    monkeypatch.setattr(ContractPayer, "countersign", never)
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer()
    assert (answer.text, answer.payment.cost_uruv) == ("Hello world", 0)
    assert (answer.payment.receipts, answer.payment.transcript_root) == (0, "")
    await net.settle()


async def test_buyer_signs_no_invoice_for_more_than_came(net, monkeypatch):
    honest = DeliveryMeter.make_receipt

    def overbill(self: DeliveryMeter, *, final: bool = False):
        receipt = honest(self, final=final)
        return msgspec.structs.replace(
            receipt,
            tokens_out=receipt.tokens_out + 100,
            tokens_billed=receipt.tokens_billed + 100,
        )

    monkeypatch.setattr(DeliveryMeter, "make_receipt", overbill)
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(AnswerInterrupted, match="an invoice is not signed"):
        await buyer.ask()
    assert isinstance(buyer.node.offences[0][1], InvoiceRefused)
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_provider_that_contradicts_itself_is_accused(net, monkeypatch):
    honest = PaidDelivery._make_invoice

    async def twice(self: PaidDelivery, *, final: bool = False) -> Invoice:
        if self._meter._seq:
            self._meter._seq = 0
            self._meter._tokens_out += 1
        return await honest(self, final=final)

    monkeypatch.setattr(PaidDelivery, "_make_invoice", twice)
    provider = await net.add(FIRST, engine("x" * LOT_BYTES, "y"), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(AnswerInterrupted, match="two invoices of one number"):
        await buyer.ask(answer_tokens=2_000)
    await until(lambda: len(buyer.said(ProveEquivocation)) == 1)
    await net.settle()
    assert buyer.free == 1_000 * RUV
    assert provider.port.market.ledger.get(provider.port.account).staked < 500 * RUV


@pytest.mark.parametrize("frame", [Countersign(9, b"x"), Countersign(1, b"wrong")])
async def test_signature_that_is_none_is_an_offence(net, monkeypatch, frame: Countersign):
    async def lie(self: ContractPayer, invoice: Invoice) -> Countersign:
        return frame

    monkeypatch.setattr(ContractPayer, "countersign", lie)
    provider = await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    await asyncio.gather(buyer.ask(timeout_ms=3_000), return_exceptions=True)
    await until(lambda: len(provider.node.offences) == 1)
    assert isinstance(provider.node.offences[0][1], InvalidMessage)


async def test_answer_ends_with_the_lots_of_its_contract(net):
    await net.add(FIRST, engine(*["x" * 1_000] * 10), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(AnswerInterrupted, match="lots of the contract are used up") as caught:
        await buyer.ask(answer_tokens=900)
    assert len(caught.value.text) == 3_000
    await net.settle()
    assert 750 < 1_000 * RUV - buyer.free < 760


async def test_piece_that_no_window_holds_is_not_sent(net):
    await net.add(FIRST, engine("x" * (LOT_BYTES * 3)), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(NoOffer, match="a piece of 3000 tokens at once"):
        await buyer.ask(answer_tokens=6_000)
    await net.settle()
    assert buyer.free == 1_000 * RUV


async def test_first_piece_beyond_the_contract_costs_nothing(net):
    await net.add(FIRST, engine("x" * (LOT_BYTES * 3)), price=PRICE)
    buyer = await net.add(BUYER)
    with pytest.raises(NoOffer, match="used up"):
        await buyer.ask(answer_tokens=500)
    await net.settle()
    assert buyer.free == 1_000 * RUV


# --- several contracts ---------------------------------------------------------------------------


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


# --- who may ask, and when -----------------------------------------------------------------------


async def test_contract_is_for_its_buyer_alone(net, monkeypatch):
    monkeypatch.setattr(selling, "ACCEPTED_MS", 100)
    await net.add(FIRST, engine(), price=PRICE)
    buyer, thief = await net.add(BUYER), await net.add(SECOND)
    contract = await _hold(net, buyer)
    with pytest.raises(EngineError, match="no contract of yours"):
        await _ask_under(thief, contract)
    with pytest.raises(EngineError, match="no contract of yours"):
        await _ask_under(buyer, msgspec.structs.replace(contract, id=bytes(32)))
    await _ask_under(buyer, contract)


async def test_contract_is_for_one_answer(net):
    provider = await net.add(FIRST, engine(), price=PRICE)
    provider.port.mutes = (PostReceipt,)
    buyer = await net.add(BUYER)
    contract = await _hold(net, buyer)
    await _ask_under(buyer, contract)
    with pytest.raises(EngineError, match="has been given"):
        await _ask_under(buyer, contract)


async def test_answer_does_not_begin_where_its_record_cannot_be_written(net, monkeypatch):
    async def fail(self: DeliveryRecords, record: Record) -> None:
        raise StorageError("the disk is full")

    provider = await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    contract = await _hold(net, buyer)
    monkeypatch.setattr(DeliveryRecords, "put", fail)
    with pytest.raises(EngineError, match="the disk is full"):
        await _ask_under(buyer, contract)
    assert not provider.room.sessions.any_live


async def _hold(net: TradingNet, buyer: Trader) -> Contract:
    """A contract that the provider has taken, and that the buyer's room lets be."""
    buyer.port.mutes = (Close,)
    net.scene.bid(BUYER, PRICE, 3)
    net.ring()
    await until(lambda: [row.phase for row in buyer.find_contracts()] == ["delivering"])
    return buyer.find_contracts()[0]


async def _ask_under(trader, contract: Contract) -> None:
    peers = trader.node.list_serving_peers()
    peer = next(each for each in peers if each.author == contract.provider)
    replica = Replica(peer=peer.peer, author=peer.author, name="", models=(MODEL,), slots=1)
    payer = ContractPayer(trader.room, make_terms(NETWORK, contract), bytes(32))
    items = trader.node.asker.stream_paid(
        Question(request=REQUEST),
        Choice(replica=replica, model=MODEL, explain=()),
        payer,
        started_ms=trader.node.read_clock_ms(),
        tried=(),
    )
    async with aclosing(items):
        async for _ in items:
            pass


async def test_node_that_sells_nothing_refuses_contracts(net):
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    free = await net.serving.add("free", engine())
    free.author = get_account(SECOND)
    contract = msgspec.structs.replace(await _hold(net, buyer), provider=free.author)
    with pytest.raises(EngineError, match="sells nothing"):
        await _ask_under(buyer, contract)


async def test_node_that_answers_for_pay_only_refuses_who_does_not(net):
    provider = await net.add(FIRST, engine(), price=PRICE)
    provider.node.desk._serves_free = False
    await provider.node.desk._advertise()
    buyer = await net.add(BUYER)
    with pytest.raises(NoPeerServes):
        await _ask_free(buyer)
    with pytest.raises(EngineError, match="only what is paid for"):
        provider.node.desk.check_admission(get_account(BUYER))
    assert (await buyer.answer()).text == "Hello world"


async def _ask_free(trader) -> None:
    async with aclosing(trader.node.asker.stream(Question(request=REQUEST))) as items:
        async for _ in items:
            pass


async def test_long_pieces_wait_for_the_window_one_by_one(net):
    await net.add(FIRST, engine(*["x" * (LOT_BYTES + 400)] * 4), price=PRICE)
    buyer = await net.add(BUYER)
    answer = await buyer.answer(answer_tokens=6_000)
    assert len(answer.text) == 4 * (LOT_BYTES + 400)
    assert answer.payment.receipts >= 4
    await net.settle()


async def test_contract_of_a_question_that_was_given_up_is_closed(net):
    provider = await net.add(FIRST, engine(), price=PRICE)
    provider.port.mutes = (Accept,)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.ask())
    await until(lambda: provider.said(Accept))
    asking.cancel()
    await asyncio.wait({asking})
    net.scene.say(FIRST, Accept(buyer.find_contracts()[0].id))
    net.ring()
    await net.settle()
    assert len(buyer.said(Close)) == 1
    assert buyer.free == 1_000 * RUV


async def test_turn_to_clear_the_way_is_awaited_within_the_questions_time(net):
    await net.add(FIRST, engine(), price=PRICE - 1)
    await net.add(SECOND, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    buyer.buyer._doubted_ms[get_account(FIRST)] = buyer.node.read_clock_ms()
    async with buyer.buyer._clearing:
        with pytest.raises(DeadlineExceeded, match="no turn in time"):
            await buyer.ask(timeout_ms=50)


async def test_invoice_that_comes_twice_is_signed_once(net, monkeypatch):
    honest = PaidDelivery.meter

    async def twice(self: PaidDelivery, progress):
        async for item in honest(self, progress):
            yield item
            if isinstance(item, Invoice):
                yield item

    monkeypatch.setattr(PaidDelivery, "meter", twice)
    await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    assert (await buyer.answer()).payment.receipts == 1
    await net.settle()


# --- restarts ------------------------------------------------------------------------------------


async def test_provider_that_was_restarted_posts_what_was_signed(net, tmp_path, monkeypatch):
    monkeypatch.setattr(settling, "POST_GRACE_MS", 60_000)
    slow = gated("x" * LOT_BYTES, model=MODEL)
    provider = await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    buyer.port.mutes = (PostReceipt, Close, Finalise)
    asking = asyncio.create_task(buyer.ask(answer_tokens=3_000))
    await until(lambda: any(record.signed for record in provider.room.records._rows.values()))
    await provider.room.records._worker.run(lambda: None)  # until it is written
    await net.stop(provider)
    with pytest.raises(AnswerInterrupted):
        await asking
    again = FakeTradePort(net, FIRST, provider.node)
    async with room.open_room(again, tmp_path / str(FIRST)):
        await until(lambda: any(isinstance(each, PostReceipt) for each in again.said))
    assert PRICE < buyer.find_contracts()[0].cost < PRICE + 10


async def test_buyer_that_was_restarted_closes_and_posts_what_it_signed(net, tmp_path):
    slow = gated("x" * LOT_BYTES, model=MODEL)
    provider = await net.add(FIRST, slow, price=PRICE)
    provider.port.mutes = (PostReceipt,)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.ask(answer_tokens=3_000))
    # What the provider has of the buyer's is durable at the buyer.
    await until(lambda: any(record.signed for record in provider.room.records._rows.values()))
    buyer.port.refuses = True
    asking.cancel()
    await asyncio.wait({asking})
    again = FakeTradePort(net, BUYER, buyer.node)
    async with room.open_room(again, tmp_path / str(BUYER)):
        await until(lambda: any(isinstance(each, Close) for each in again.said))
        await net.settle()
    assert PRICE < 1_000 * RUV - buyer.free < PRICE + 10


async def test_long_stream_posts_a_receipt_now_and_then(net, monkeypatch):
    monkeypatch.setattr(settling, "KEEP_ALIVE_MS", 50)
    monkeypatch.setattr(room, "LOOK_EVERY_MS", 20)
    slow = gated("x" * LOT_BYTES, model=MODEL)
    provider = await net.add(FIRST, slow, price=PRICE)
    buyer = await net.add(BUYER)
    asking = asyncio.create_task(buyer.answer(answer_tokens=3_000))
    await until(lambda: len(provider.said(PostReceipt)) == 1)
    assert buyer.find_contracts()[0].phase == "delivering"
    slow.gate.set()
    assert (await asking).payment.receipts == 2
    await net.settle()
