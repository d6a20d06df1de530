"""The market's past, as the journal remembers it: reads of `market_table` in the reader's thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from meshnode.shell import market_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshnode.shell.journal import Journal
    from meshnode.shell.market_table import AuditSum, StoredContract, StoredEvent, StoredStep


class MarketHistory:
    """What commits did to the market, as far as it is remembered. Methods raise `StorageError`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def read_events(
        self, *, account: bytes | None = None, limit: int, refusals: bool = True
    ) -> list[StoredEvent]:
        """The newest events first, of everybody or of one account."""
        return await self._journal.read_with(
            partial(market_table.read_events, account=account, limit=limit, refusals=refusals)
        )

    async def read_chain(
        self, account: bytes, *, after: int, limit: int
    ) -> list[tuple[int, StoredEvent]]:
        """Events of an account's chain behind a place, the oldest first, each with its place."""
        return await self._journal.read_with(
            partial(market_table.read_chain, account=account, after=after, limit=limit)
        )

    async def find_floor(self) -> int:
        """The last commit of which events may have been forgotten; 0 where none were."""
        return await self._journal.read_with(market_table.find_floor)

    async def find_events(self, subjects: Sequence[bytes]) -> list[StoredEvent]:
        """What happened to these commands, orders or contracts, in order."""
        return await self._journal.read_with(partial(market_table.find_events, subjects=subjects))

    async def sum_audit(self, account: bytes) -> AuditSum:
        """Chain what is remembered of an account, as the state machine does."""
        return await self._journal.read_with(partial(market_table.sum_audit, account=account))

    async def read_steps(self, *, after: int, limit: int) -> list[StoredStep]:
        """What the commits behind an index did, in order, at most `limit` of them."""
        return await self._journal.read_with(
            partial(market_table.read_steps, after=after, limit=limit)
        )

    async def read_contracts(
        self,
        *,
        account: bytes | None = None,
        model: bytes | None = None,
        ended: bool = False,
        limit: int,
    ) -> list[StoredContract]:
        """The newest contracts first; with `ended` those that are over, the last to end first."""
        return await self._journal.read_with(
            partial(
                market_table.read_contracts, account=account, model=model, ended=ended, limit=limit
            )
        )

    async def find_contracts(self, prefix: bytes, *, limit: int) -> list[StoredContract]:
        """The contracts whose ids begin with these bytes."""
        return await self._journal.read_with(
            partial(market_table.find_contracts, prefix=prefix, limit=limit)
        )

    async def find_trades(self, orders: Sequence[bytes]) -> list[StoredContract]:
        """The trades of these orders, in order."""
        return await self._journal.read_with(partial(market_table.find_trades, orders=orders))
