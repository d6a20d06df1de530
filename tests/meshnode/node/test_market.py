"""Nodes trade: what one says all follow, and what all show is the same."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from market.amounts import URUV_PER_RUV
from market.commands import Accept, Attest, Close, Dispute, Finalise, Stake, Transfer, VerdictMotion
from meshnode.errors import CommandRejected, MarketRefused, NodeClosed
from meshnode.node import open_node
from meshnode.node.handle import NodeHandle
from meshnode.node.market_desk import MarketDesk
from meshnode.node.market_naming import name_command, summarise_commands
from meshnode.shell import market_table
from meshnode.testing import mesh
from meshnode.transport.memory import MemoryNetwork

RUV = URUV_PER_RUV
MODEL = "kimi-k2/fp8"
DIGEST = "ab" * 32
TERMS = {
    "backend": "own_weights",
    "terms_digest": DIGEST,
    "terms_version": "modified MIT",
    "hardware_digest": DIGEST,
    "daily_cap_lots": 100,
}
LIMIT_S = 30


@pytest.fixture(autouse=True)
def nobody_answers_contracts(monkeypatch):
    """Nodes look after their contracts by themselves; here tests say everything."""

    async def stay_away(_: NodeHandle) -> None:
        return

    monkeypatch.setattr(NodeHandle, "start_trading", stay_away)


def open_mesh(count: int):
    return mesh(count, engine=lambda _: None, suite="ed25519", mint_ruv=1_000)


def open_one(hub, **options):
    return open_node(transport=hub, suite="ed25519", engine="none", **options)


async def make_provider(node, *others) -> None:
    """List the model, with the others' motions, and let a node offer it."""
    await asyncio.gather(*(each.market_list(MODEL) for each in (node, *others)))
    await node.wallet_stake(500 * RUV)
    await node.market_attest(MODEL, **TERMS)


async def catch_up(node, index: int):
    """Until a node has followed the order so far, and has written down what it did."""
    async with asyncio.timeout(LIMIT_S):
        while not await node._runtime.read_commits(after=index - 1, limit=1):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def catch_up_with(node, other):
    """Until a node has followed the order as far as another."""
    await catch_up(node, (await other.market()).commit_index)


async def test_bid_meets_offer_and_all_nodes_have_the_same_market():
    async with open_mesh(3) as nodes:
        provider, buyer, watcher = nodes
        await make_provider(provider, buyer)
        updates = watcher.market_watch(after=0)
        async with aclosing(updates):
            offered = await provider.market_offer(MODEL, price_uruv=2_000, lots=10, sla_bp=9_500)
            assert (offered.command, offered.status, offered.trades) == (
                "place_order",
                "accepted",
                (),
            )
            await catch_up_with(buyer, provider)
            bid = await buyer.market_bid(MODEL, price_uruv=2_500, lots=4, time_in_force="ioc")
            (trade,) = bid.trades
            assert (trade.price_uruv, trade.lots, trade.bid) == (2_000, 4, bid.id)
            assert (trade.offer, trade.provider_name) == (offered.id, "node-1")
            async with asyncio.timeout(LIMIT_S):
                seen = [update async for update in take_until_trade(updates)]
        assert seen[-1].trades == (trade,)
        assert [each.commit_index for each in seen] == sorted({e.commit_index for e in seen})
        await show_everything(nodes, trade)
        await settle(provider, buyer, watcher, trade.contract)


async def take_until_trade(updates):
    async for update in updates:
        yield update
        if update.trades:
            return


async def show_everything(nodes, trade) -> None:
    """What can be looked at after the trade, on another node than the two that traded."""
    provider, buyer, watcher = nodes
    await catch_up(watcher, trade.commit_index)
    (instrument,) = await watcher.market_instruments()
    assert (instrument.variant, instrument.best_offer_uruv, instrument.offer_lots) == (
        MODEL,
        2_000,
        6,
    )
    assert (instrument.trades, instrument.orders, instrument.bid_lots) == (1, 1, 0)
    book = await watcher.market_book(instrument.model[:10])
    assert book.bids == ()
    (level,) = book.offers
    assert (level.price_uruv, level.lots, level.attributes.sla_bp) == (2_000, 6, 9_500)
    (order,) = await watcher.market_orders(account="node-1", model=MODEL)
    assert (order.id, order.side, order.lots, order.account_name) == (
        trade.offer,
        "offer",
        6,
        "node-1",
    )
    assert await watcher.market_orders(account="node-2") == []
    assert await watcher.market_trades(account="node-2") == [trade]
    (contract,) = await watcher.market_contracts(account="node-2")
    assert contract.id == trade.contract
    assert (contract.phase, contract.escrow_uruv) == ("locked", 8_000)
    assert await watcher.market_contract(trade.contract[:8]) == contract
    assert (await buyer.wallet()).escrow_uruv == 8_000
    wallet = await watcher.wallet("node-1")
    assert (wallet.open_orders, wallet.live_contracts) == (1, 1)
    assert wallet.collateral_uruv == 4_000
    (attestation,) = await watcher.market_attestations(account="node-1", model=MODEL)
    assert (attestation.terms_version, attestation.used_lots) == ("modified MIT", 0)
    money = (await provider.status()).money
    assert money is not None
    assert (money.open_orders, money.live_contracts) == (1, 1)
    assert money.free_uruv + money.locked_uruv == 1_000 * RUV
    assert (await watcher.market_reputation("node-1")).score_bp == 0


async def settle(provider, buyer, watcher, contract: str) -> None:
    """The contract runs to its end, and is remembered."""
    (offered,) = await provider.vertices(kind="market", author=provider.author, limit=1)
    # It rested as it came, and traded in a later commit.
    assert (await provider.market_submission(offered.id)).outcomes[0].trades == ()
    contract_id = bytes.fromhex(contract)
    accepted = await provider.market_submit([Accept(contract_id), Accept(contract_id)])
    assert sorted(each.status for each in accepted.outcomes) == ["accepted", "refused"]
    assert [each.code for each in accepted.outcomes if each.code] == ["wrong_phase"]
    assert (await provider.market_submission(accepted.vertex[:12])) == accepted
    await buyer.market_submit([Close(contract_id)])
    await buyer.market_submit([Finalise(contract_id)])
    done = await provider.market_submit([Finalise(contract_id)])
    assert done.commit_index is not None
    for node in (buyer, watcher):
        await catch_up(node, done.commit_index)
    assert await watcher.market_contracts() == []
    (ended,) = await watcher.market_contracts(ended=True)
    assert (ended.phase, ended.detail, ended.cost_uruv) == ("settled", "clean", 0)
    assert (await watcher.market_contract(contract)) == ended
    async with asyncio.timeout(LIMIT_S):
        while len(await list_places(provider, buyer, watcher)) > 1:  # noqa: ASYNC110 - of several
            await asyncio.sleep(0.01)
    for node in (provider, buyer):
        audit = await watcher.market_audit(node.author)
        assert audit.verified
        assert audit.entries[0].kind == "contract_settled"
    kinds = [entry.kind for entry in await buyer.wallet_history(limit=3)]
    assert kinds[0] == "contract_settled"


async def list_places(*nodes):
    """Where the nodes' markets are: one place once they agree."""
    return {(shown.commit_index, shown.root) for shown in [await node.market() for node in nodes]}


async def test_refusals_say_what_why_and_what_next():
    async with open_mesh(1) as (node,):
        with pytest.raises(MarketRefused, match="too little free ruv") as caught:
            await node.wallet_send("11" * 32, 2_000 * RUV)
        assert caught.value.reason == "insufficient_funds"
        assert "receive ruv" in str(caught.value)
        with pytest.raises(MarketRefused, match="no model 'kimi-k2/fp8' is listed"):
            await node.market_book(MODEL)
        await make_provider(node)
        with pytest.raises(MarketRefused, match="there are kimi-k2/fp8"):
            await node.market_book("gpt")
        await node.market_list(MODEL, backend_class="gpu")
        with pytest.raises(CommandRejected, match="means 2 instruments"):
            await node.market_book(MODEL)
        with pytest.raises(CommandRejected, match="0 entries cannot be listed"):
            await node.market_trades(limit=0)
        with pytest.raises(CommandRejected, match="no member is 'bob'"):
            await node.wallet("bob")
        with pytest.raises(CommandRejected, match="no contract's id"):
            await node.market_contract("xyz")
        with pytest.raises(CommandRejected, match="no contracts begin with 'ab'"):
            await node.market_contract("ab")
        with pytest.raises(CommandRejected, match="there is no commit -1"):
            await anext(node.market_watch(after=-1))
        with pytest.raises(MarketRefused, match="no open order of this node begins with '12'"):
            await node.market_cancel("12")
        with pytest.raises(MarketRefused, match="no such order is open"):
            await node.market_cancel("12" * 32)
        with pytest.raises(CommandRejected, match="0 commands cannot be said"):
            await node.market_submit([])
        with pytest.raises(CommandRejected, match="bytes where 16384 fit"):
            await node.market_submit([Transfer(bytes(32), 1, "lo rem " * 36)] * 100)
        note = await node.publish("no command")
        with pytest.raises(CommandRejected, match="holds no commands"):
            await node.market_submission(note.id)
        assert [entry.kind for entry in await node.wallet_history(limit=1)] == ["refused"]


@pytest.mark.parametrize(
    "command",
    [
        Transfer(bytes(32), 1, "api_key=hunter2hunter2"),
        Dispute(bytes(32), "password: hunter2", bytes(32)),
        VerdictMotion(bytes(32), 0, 0, 0, "token: hunter2", bytes(32), fraud=False),
        Attest(
            bytes(32),
            "own_account",
            bytes(32),
            "secret is hunter2",
            bytes(32),
            1,
            opted_in=True,
            shares_credentials=False,
        ),
    ],
)
async def test_secret_never_leaves_the_node(command):
    desk = MarketDesk(None, None, None, None)  # type: ignore[arg-type]  # nothing of a node is touched
    with pytest.raises(MarketRefused, match="nothing was said") as caught:
        await desk.submit([command], wait_ms=0)
    assert "hunter2" not in str(caught.value)
    assert caught.value.reason == "credential"


async def test_money_moves_is_staked_and_comes_free_later():
    async with open_mesh(2) as (one, two):
        await one.wallet_send("node-2", 5 * RUV, memo="for tea")
        await one.wallet_stake(10 * RUV)
        await one.wallet_unstake(4 * RUV)
        wallet = await one.wallet()
        assert (wallet.free_uruv, wallet.staked_uruv) == (985 * RUV, 6 * RUV)
        (unbonding,) = wallet.unbondings
        assert unbonding.amount_uruv == wallet.unbonding_uruv == 4 * RUV
        (unstaked,) = await one.wallet_history(limit=1)
        assert unbonding.due_ms == unstaked.time_ms + 14 * 86_400_000
        assert wallet.bonded_uruv == 10 * RUV
        await catch_up(two, wallet.commit_index)
        assert (await two.wallet()).free_uruv == 1_005 * RUV
        assert [entry.kind for entry in await two.wallet_history()] == ["received"]
        await asyncio.gather(*(node.wallet_mint("node-2", RUV) for node in (one, two)))
        await catch_up_with(two, one)
        assert (await two.wallet()).free_uruv == 1_006 * RUV
        (vertex,) = await two.vertices(kind="market", author="node-2")
        assert (vertex.kind, vertex.summary) == ("market", "mint_motion")
        body = (await two.vertex(vertex.id)).body
        assert body is not None
        (command,) = body["commands"]
        assert (command["command"], command["amount"]) == ("mint_motion", RUV)


async def test_orders_are_taken_back_one_by_one_by_model_and_all():
    async with open_mesh(1) as (node,):
        await make_provider(node)
        bids = [
            await node.market_bid(MODEL, price_uruv=1_000 + 10 * n, lots=2, expires_in_ms=60_000)
            for n in range(3)
        ]
        market_bid = await node.market_bid(
            MODEL, price_uruv=None, lots=2, budget_uruv=4_000, time_in_force="ioc"
        )
        assert market_bid.trades == ()
        orders = await node.market_orders(limit=3)
        assert [order.id for order in orders] == [bid.id for bid in reversed(bids)]
        with pytest.raises(CommandRejected, match="no open order of this node begins with ''"):
            await node.market_cancel("")
        await node.market_cancel(bids[0].id[:16])
        await node.market_cancel(bids[1].id)
        assert [order.id for order in await node.market_orders()] == [bids[2].id]
        await node.market_cancel(model=MODEL)
        assert await node.market_orders() == []
        await node.market_cancel()
        offer = await node.market_offer(MODEL, price_uruv=1_000, lots=2, epochs=3)
        assert (await node.market_orders())[0].epochs_left == 2
        assert (await node.market_revoke(MODEL)).status == "accepted"
        assert await node.market_orders() == []
        assert offer.id != bids[0].id
        for wrong in ({"time_in_force": "soon"}, {"expires_in_ms": 0}, {"flags": ("fast",)}):
            with pytest.raises(CommandRejected):
                await node.market_bid(MODEL, price_uruv=1_000, lots=2, **wrong)
        with pytest.raises(CommandRejected, match="terms_digest is no SHA-256"):
            await node.market_attest(MODEL, **{**TERMS, "terms_digest": "zz" * 32})


async def test_what_became_of_commands_is_known_after_a_restart(tmp_path):
    hub = MemoryNetwork()
    async with open_one(hub, name="ada", home=tmp_path) as node:
        said = await node.market_submit([Stake(5 * RUV), Stake(5_000 * RUV)])
        pending = await node.market_submit([Stake(RUV)], wait_ms=0)
        assert [each.status for each in pending.outcomes] == ["pending"]
        assert (pending.commit_index, pending.time_ms) == (None, None)
        done = await node.market_submission(pending.vertex, wait_ms=LIMIT_S * 1_000)
        assert [each.status for each in done.outcomes] == ["accepted"]
        before, root = await node.wallet(), (await node.market()).root
        history = await node.wallet_history()
    with pytest.raises(NodeClosed):
        await node.wallet()
    async with open_one(hub, name="ada", home=tmp_path) as node:
        assert await node.market_submission(said.vertex) == said
        assert [each.status for each in said.outcomes] == ["accepted", "refused"]
        assert (await node.wallet(), (await node.market()).root) == (before, root)
        assert await node.wallet_history() == history
        assert (await node.market_audit()).verified


async def test_chain_is_read_in_pages_from_the_oldest_event_to_the_newest():
    async with open_mesh(1) as (node,):
        for amount in (1, 2, 3):
            await node.wallet_stake(amount)
        whole = await node.market_audit()
        assert (whole.next_after, whole.count) == (None, len(whole.entries))
        pages = [await node.market_audit(limit=2, after=0)]
        while pages[-1].entries:
            pages.append(await node.market_audit(limit=2, after=pages[-1].next_after))
        read = [entry for page in pages for entry in page.entries]
        assert read == list(reversed(whole.entries))
        assert [page.verified for page in pages] == [True, *[None] * (len(pages) - 1)]
        assert pages[-1].next_after == pages[-2].next_after
        for after in (-1, 2**63):
            with pytest.raises(CommandRejected, match="there is no page"):
                await node.market_audit(after=after)


async def test_what_is_no_longer_remembered_is_unknown_and_a_chain_is_not_verified(monkeypatch):
    monkeypatch.setattr(market_table, "EVENTS_MAX", 1)
    async with open_mesh(1) as (node,):
        first = await node.market_submit([Stake(1)])
        await node.wallet_stake(2)
        again = await node.market_submission(first.vertex)
        assert [each.status for each in again.outcomes] == ["unknown"]
        assert (await node.market_audit()).verified is None


async def test_slow_watcher_misses_no_commit(monkeypatch):
    async with open_mesh(1) as (node,):
        runtime, gate = node._runtime, asyncio.Event()
        history = runtime.market_history
        real_events, real_read = runtime.events, history.read_steps

        async def read_slowly(**options):
            found = await real_read(**options)
            await gate.wait()
            return found

        monkeypatch.setattr(runtime, "events", lambda: real_events(1))
        monkeypatch.setattr(history, "read_steps", read_slowly)
        async with aclosing(node.market_watch()) as updates:
            first = asyncio.ensure_future(anext(updates))
            await asyncio.sleep(0)
            monkeypatch.setattr(runtime, "events", real_events)
            for amount in (1, 2):
                await node.wallet_stake(amount)
            gate.set()
            async with asyncio.timeout(LIMIT_S):
                seen = [await first, await anext(updates)]
                await node.wallet_stake(3)
                seen.append(await anext(updates))
        assert [update.entries[0].amount_uruv for update in seen] == [1, 2, 3]


async def test_newcomer_is_given_what_its_invitation_promises():
    hub = MemoryNetwork()
    async with open_one(hub, name="ada") as founder:
        with pytest.raises(MarketRefused, match=r"2000 ruv are promised where 1000 are free"):
            await founder.invite(uses=2, grant_uruv=1_000 * RUV)
        with pytest.raises(CommandRejected, match="less than nothing"):
            await founder.invite(grant_uruv=-1)
        ticket = await founder.invite(grant_uruv=5 * RUV)
        async with open_one(hub, ticket=ticket, name="bob") as guest:
            async with asyncio.timeout(LIMIT_S), aclosing(guest.market_watch(after=0)) as updates:
                update = await anext(updates)
            assert [entry.kind for entry in update.entries] == ["sent", "received"]
            assert [entry.detail for entry in update.entries] == ["welcome"] * 2
            assert (await guest.wallet()).free_uruv == 5 * RUV
            assert (await guest.wallet(founder.author)).free_uruv == 995 * RUV


def test_commands_have_names():
    assert name_command(Stake(1)) == "stake"
    assert name_command(VerdictMotion(b"", 0, 0, 0, "", b"", fraud=False)) == "verdict_motion"
    assert summarise_commands([Stake(1), Close(b""), Stake(2)]) == "stake x 2, close"
