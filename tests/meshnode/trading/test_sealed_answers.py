"""Answers that are paid for are sealed like any other, and metered once where a key has expired."""

from __future__ import annotations

import pytest

from meshnode.errors import MeshError
from tests.support.sealed_net import Published, make_profile, rotate, seal_streams
from tests.support.trading_net import BUYER, FIRST, PRICE, engine


async def make_traders(net):
    """A provider and a buyer that both seal, and what the provider knows."""
    published = Published()
    provider = await net.add(FIRST, engine(), price=PRICE)
    buyer = await net.add(BUYER)
    directory = seal_streams(provider.node, published)
    seal_streams(buyer.node, published)
    return provider, buyer, directory


async def test_bought_answer_is_sealed_and_settled(net):
    provider, buyer, _ = await make_traders(net)
    answer = await buyer.answer()
    assert answer.sealed and answer.verified
    assert answer.payment.receipts == 1
    assert provider.node.sealing.figures.answered >= 1
    await net.settle()


async def test_contract_goes_on_where_the_providers_key_has_expired(net):
    """The question goes out twice and counts once: both sides' transcripts end alike."""
    provider, buyer, directory = await make_traders(net)
    rotate(provider.node, keep_ms=0)
    directory.own = make_profile(provider.node, seq=1)
    answer = await buyer.answer()
    assert answer.sealed
    assert answer.text == "Hello world"
    assert provider.node.sealing.figures.refused_keys == 1
    assert answer.payment.cost_uruv == answer.payment.tokens_billed > 0
    await net.settle()


async def test_contract_in_the_open_of_who_could_seal_is_refused(net):
    provider, buyer, _ = await make_traders(net)
    buyer.node.sealing = None
    seen = []
    accept = provider.seller.open

    async def open_delivery(ask, requester):
        seen.append(ask)
        return await accept(ask, requester)

    provider.seller.open = open_delivery
    with pytest.raises(MeshError, match="sealed"):
        await buyer.answer(timeout_ms=5_000)
    assert seen == []
