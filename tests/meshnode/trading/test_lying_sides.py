"""Both sides may lie: neither gets more than two lots out of it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from market.commands import ProveEquivocation
from market.metering import WINDOW_TOKENS, DeliveryMeter
from meshnode.errors import (
    AnswerInterrupted,
    InvalidMessage,
)
from meshnode.serving.protocol import Countersign, Invoice
from meshnode.trading import delivery
from meshnode.trading.delivery import PaidDelivery
from meshnode.trading.errors import InvoiceRefused, NoOffer
from meshnode.trading.payer import ContractPayer
from tests.support.market_scene import RUV
from tests.support.serving_net import until
from tests.support.trading_net import (
    BUYER,
    FIRST,
    LOT_BYTES,
    PRICE,
    engine,
)


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
