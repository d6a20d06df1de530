"""Who may ask under a contract, and what is left of it after a restart."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from market.commands import Accept, Close, Finalise, PostReceipt
from market.contracts import Contract
from market.metering import make_terms
from meshnode.engines.base import EngineError
from meshnode.errors import (
    AnswerInterrupted,
    DeadlineExceeded,
    NoPeerServes,
    StorageError,
)
from meshnode.serving.protocol import Invoice
from meshnode.serving.question import Question
from meshnode.serving.target import Target
from meshnode.trading import room, selling, settling
from meshnode.trading.delivery import PaidDelivery
from meshnode.trading.payer import ContractPayer
from meshnode.trading.records import DeliveryRecords, Record
from tests.support.market_scene import NETWORK, RUV, get_account
from tests.support.serving_net import REQUEST, gated, until
from tests.support.trading_net import (
    BUYER,
    FIRST,
    LOT_BYTES,
    MODEL,
    PRICE,
    SECOND,
    FakeTradePort,
    Trader,
    TradingNet,
    engine,
)

# --- who may ask, and when ------------------------------------------------------------------------


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
    payer = ContractPayer(trader.room, make_terms(NETWORK, contract), bytes(32))
    items = trader.node.asker.stream_paid(
        Question(request=REQUEST),
        Target(peer=peer.peer, author=peer.author, name="", model=MODEL),
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
    provider.node.desk.reporter._offers = False
    await provider.node.desk.reporter._advertise()
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


# --- restarts -------------------------------------------------------------------------------------


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
