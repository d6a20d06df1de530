"""Questions that are paid for, over whole nodes: the answer, its price, and who is richer then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from market.amounts import compute_fee
from meshnode.errors import CommandRejected
from meshnode.node.asking import make_wish
from meshnode.node.handle import NodeHandle
from meshnode.testing import mesh
from meshnode.trading.errors import NoOffer, NotEnoughRuv
from meshnode.views import Answer
from tests.support.serving_net import until

PRICE = 100_000
RUV = 1_000_000


async def list_echo(nodes) -> None:
    """The committee lists the echo, and the first node offers it."""
    for node in nodes:
        await node.market_list("echo")
    seller = nodes[0]
    await seller.market_attest(
        "echo",
        backend="own_weights",
        terms_digest="00" * 32,
        terms_version="1",
        hardware_digest="00" * 32,
        daily_cap_lots=1_000,
    )
    await seller.wallet_stake(10 * RUV)
    await seller.market_offer("echo", price_uruv=PRICE, lots=50)


async def wait_settled(node: NodeHandle, contract: str) -> None:
    """Until it has ended, and that is written down here."""
    async with asyncio.timeout(60):
        while contract not in {each.id for each in await node.market_contracts(ended=True)}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def ask_until_answered(node: NodeHandle, prompt: str) -> Answer:
    """On a machine with much to do a provider may be too late to take a task."""
    for _ in range(5):
        try:
            return await node.ask(prompt, max_price_uruv=PRICE, max_tokens=100)
        except NoOffer:
            assert node._buyer is not None
            node._buyer._doubted_ms.clear()
    raise AssertionError("no answer in five tries")


async def test_answer_is_paid_for_and_everybody_agrees_on_the_money():
    async with mesh(2, engine=["echo", None], suite="ed25519", mint_ruv=1_000) as nodes:
        seller, buyer = nodes
        with pytest.raises(NoOffer, match="no model on the market"):
            await buyer.ask("hello", max_price_uruv=PRICE)
        await list_echo(nodes)
        answer = await ask_until_answered(buyer, "hello")
        assert answer.text.endswith("hello")
        payment = answer.payment
        assert payment is not None
        assert (payment.provider, payment.provider_name) == (seller.author, "node-1")
        await asyncio.gather(*(wait_settled(node, payment.contract) for node in nodes))
        earned = payment.cost_uruv - compute_fee(payment.cost_uruv).total_uruv
        ended = {contract.id: contract for contract in await buyer.market_contracts(ended=True)}
        paid = ended.pop(payment.contract)
        assert (paid.phase, paid.cost_uruv) == ("settled", payment.cost_uruv)
        # Whoever lets its time pass on a slow machine pays a part of its collateral for it.
        assert all(contract.phase == "refunded" for contract in ended.values())
        lost = sum(contract.collateral_uruv for contract in ended.values()) + len(ended) * 2_000
        spent = 1_000 * RUV - (await buyer.wallet()).free_uruv
        assert payment.cost_uruv - lost <= spent <= payment.cost_uruv
        assert (await seller.wallet()).free_uruv == 990 * RUV + earned
        with pytest.raises(NotEnoughRuv):
            await buyer.ask("hello", max_price_uruv=PRICE, max_tokens=40_000_000)


async def test_wishes_are_told_from_mistakes():
    assert make_wish("auto", None, None, None, None) is None
    wish = make_wish("echo", 50, PRICE, 2 * PRICE, {"sla_bp": 9_900})
    assert wish is not None
    assert (wish.sla_bp, wish.answer_tokens, wish.max_spend_uruv) == (9_900, 50, 2 * PRICE)
    mistakes: list[dict[str, Any]] = [{"speed": 1}, {"sla_bp": "fast"}]
    for wishes in mistakes:
        with pytest.raises(CommandRejected, match="wishes cannot be used"):
            make_wish("auto", None, PRICE, None, wishes)
    with pytest.raises(CommandRejected, match="needs its highest price"):
        make_wish("auto", None, None, 5, None)
    with pytest.raises(CommandRejected, match="needs its highest price"):
        make_wish("auto", None, None, None, {"sla_bp": 1})


async def test_paid_question_goes_to_no_peer_of_ones_choice():
    async with mesh(1, suite="ed25519", mint_ruv=1) as (node,):
        with pytest.raises(CommandRejected, match="not to a peer"):
            await node.ask("hello", max_price_uruv=PRICE, peer="node-1")
        node._buyer = None
        with pytest.raises(CommandRejected, match="does not trade"):
            await node.ask("hello", max_price_uruv=PRICE)


async def test_member_is_connected_where_it_can_be():
    async with mesh(2, engine="none", suite="ed25519", validates=False) as (first, second):
        author = bytes.fromhex(second.author)
        found = await first._port.connect(author, timeout_ms=5_000)
        assert found is not None
        assert found.name == "node-2"
        assert await first._port.connect(bytes(32), timeout_ms=5_000) is None
        await second.close()
        await until(lambda: not first._port.list_serving_peers())
        assert await first._port.connect(author, timeout_ms=50) is None
