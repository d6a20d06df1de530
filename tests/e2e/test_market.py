"""Four real nodes trade: every one of them has the same market, also one that was killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from market.amounts import URUV_PER_RUV
from meshnode.client import RemoteNode
from meshnode.demo.founding import found_network
from meshnode.demo.processes import DemoNode, open_crew
from meshnode.market_views import MarketInfo, WalletInfo
from tests.support.daemons import FLAGS, kill, wait_connected

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RUV = URUV_PER_RUV
NAMES = ("ada", "bell", "curie", "darwin")
MODEL = "echo/text"
DIGEST = "ab" * 32
LIMIT_S = 120.0
OPTIONS = {**FLAGS, "kind": "demo", "engine": "none"}
WAIT: dict[str, Any] = {"wait_ms": int(LIMIT_S * 1_000)}


async def test_four_nodes_trade_and_agree_also_with_one_that_was_killed(tmp_path: Path):
    folder = tmp_path / "homes"
    found_network(folder, NAMES)
    async with open_crew(folder) as crew:
        nodes = list(await asyncio.gather(*(crew.start(name, OPTIONS) for name in NAMES)))
        await wait_connected(nodes)
        provider, buyer, *_ = remotes = [node.remote for node in nodes]
        await open_market(provider, remotes[1:3])
        kill(nodes[3])
        await provider.market_offer(MODEL, price_uruv=2_000, lots=10, sla_bp=9_500, **WAIT)
        await follow(nodes[:3], 0)
        bid = await buyer.market_bid(MODEL, price_uruv=2_500, lots=4, time_in_force="ioc", **WAIT)
        (trade,) = bid.trades
        assert (trade.price_uruv, trade.lots, trade.provider_name) == (2_000, 4, "ada")

        nodes[3] = await crew.start(NAMES[3], OPTIONS)
        await follow(nodes, trade.commit_index)
        back = nodes[3].remote
        submission = await back.market_submission(await find_vertex(back, "bell"), **WAIT)
        assert submission.outcomes[0].trades == (trade,)
        assert await back.market_trades() == [trade]
        assert (await back.market_book(MODEL)).offers[0].lots == 6
        await check_balances([node.remote for node in nodes])


async def open_market(provider: RemoteNode, others: Sequence[RemoteNode]) -> None:
    """Three of four validators list the model; one stakes and attests."""
    await asyncio.gather(*(each.market_list(MODEL, **WAIT) for each in (provider, *others)))
    await provider.wallet_stake(100 * RUV, **WAIT)
    await provider.market_attest(
        MODEL,
        backend="own_weights",
        terms_digest=DIGEST,
        terms_version="MIT",
        hardware_digest=DIGEST,
        daily_cap_lots=100,
        **WAIT,
    )


async def check_balances(remotes: Sequence[RemoteNode]) -> None:
    """All nodes say the same of everybody's money, and none of it is lost."""
    expected = [await read_wallet(remotes[0], name) for name in NAMES]
    held = [each.free_uruv + each.reserved_uruv + each.bonded_uruv for each in expected]
    assert sum(held) == len(NAMES) * 1_000 * RUV
    for remote in remotes[1:]:
        assert [await read_wallet(remote, name) for name in NAMES] == expected


async def read_wallet(remote: RemoteNode, name: str) -> WalletInfo:
    """An account's money, whichever commit has come by when it is asked for."""
    return replace(await remote.wallet(name), commit_index=0, time_ms=0)


async def find_vertex(node: RemoteNode, author: str) -> str:
    """The last commands of an author, as another node holds them."""
    (vertex,) = await node.vertices(kind="market", author=author, limit=1)
    return vertex.id


async def follow(nodes: Sequence[DemoNode], index: int) -> None:
    """Until every node has come so far, and all show one market at one index.

    The provider has no engine, so its node declines the task: what comes of that is waited for.
    """

    def agree(markets: Sequence[MarketInfo]) -> bool:
        places = {(market.commit_index, market.root) for market in markets}
        is_still = not any(market.live_contracts for market in markets)
        return len(places) == 1 and is_still and markets[0].commit_index >= index

    async with asyncio.timeout(LIMIT_S):
        while not agree(  # noqa: ASYNC110 - they are other processes
            [await node.remote.market() for node in nodes]
        ):
            await asyncio.sleep(0.05)
