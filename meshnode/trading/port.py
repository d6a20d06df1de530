"""What trading needs of the node it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dag.genesis import Suite
    from market.commands import Command
    from market.receipts import KeyDirectory, Receipt
    from market.state import MarketState
    from meshnode.market_views import SubmissionInfo


class TradePort(Protocol):
    """A node as trading sees it."""

    @property
    def account(self) -> bytes:
        """The own account: the author id."""

    @property
    def network(self) -> bytes:
        """The network's id."""

    @property
    def suite(self) -> Suite:
        """Of the network's signatures."""

    @property
    def keys(self) -> KeyDirectory:
        """Keys of the members."""

    @property
    def market(self) -> MarketState:
        """The market as of the last commit; read-only."""

    async def sign(self, receipt: Receipt) -> bytes:
        """The own signature on a receipt."""

    async def submit(self, commands: Sequence[Command], *, wait_ms: int) -> SubmissionInfo:
        """Say commands to the market. Raises `CommandRejected` where that cannot be done now."""

    async def follow(self, on_commit: Callable[[], None]) -> None:
        """Call back at every commit until the node ends."""

    def now_ms(self) -> int:
        """The node's clock: Unix milliseconds that never go back."""
