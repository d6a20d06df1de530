"""A running node, as trading sees it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dag.genesis import compute_network_id
from market.receipts import sign_receipt
from meshnode.core.events import Committed
from meshnode.errors import MeshError
from meshnode.shell.subscriptions import SubscriberLagged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dag.genesis import Suite
    from dag.keys import SecretKeys
    from market.commands import Command
    from market.receipts import KeyDirectory, Receipt
    from market.state import MarketState
    from meshnode.market_views import SubmissionInfo
    from meshnode.node.market_desk import MarketDesk
    from meshnode.shell.runtime import Runtime


class RuntimeTradePort:
    """`meshnode.trading.port.TradePort` over a runtime."""

    def __init__(self, runtime: Runtime, desk: MarketDesk, secrets: SecretKeys) -> None:
        self._runtime = runtime
        self._desk = desk
        self._secrets = secrets
        self._network = compute_network_id(runtime.genesis)

    def __repr__(self) -> str:
        return f"RuntimeTradePort({self.account.hex()[:8]})"

    @property
    def account(self) -> bytes:
        """The own account: the author id."""
        return self._runtime.author

    @property
    def network(self) -> bytes:
        """The network's id."""
        return self._network

    @property
    def suite(self) -> Suite:
        """Of the network's signatures."""
        return self._runtime.genesis.suite

    @property
    def keys(self) -> KeyDirectory:
        """Keys of the members."""
        return self._runtime.authors

    @property
    def market(self) -> MarketState:
        """The market as of the last commit; read-only."""
        return self._runtime.market

    async def sign(self, receipt: Receipt) -> bytes:
        """The own signature on a receipt; a thread makes it, for it takes over a millisecond."""
        return await asyncio.to_thread(sign_receipt, self.suite, self._secrets, receipt)

    async def submit(self, commands: Sequence[Command], *, wait_ms: int) -> SubmissionInfo:
        """Say commands to the market. Raises `CommandRejected` where that cannot be done now."""
        return await self._desk.submit(commands, wait_ms=wait_ms)

    async def follow(self, on_commit: Callable[[], None]) -> None:
        """Call back at every commit until the node ends."""
        while True:
            try:
                async with self._runtime.events() as events:
                    on_commit()
                    async for event in events:
                        if isinstance(event, Committed):
                            on_commit()
                return
            except SubscriberLagged:
                continue  # what counts is the state, not how it came about
            except MeshError:
                return  # the node has failed, and says so where it was opened

    def now_ms(self) -> int:
        """The node's clock: Unix milliseconds that never go back."""
        return self._runtime.now_ms()
