"""Looking at the market of a running node: as it stands, and as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from market.orders import Side
from meshnode.core.events import Committed
from meshnode.errors import CommandRejected
from meshnode.node.market_lookup import check_limit
from meshnode.node.market_presenting import MarketPresenter, list_contracts, show_market
from meshnode.node.measuring import Trade
from meshnode.shell.market_table import StoredContract, StoredStep
from meshnode.shell.subscriptions import SubscriberLagged
from meshnode.views import MoneyInfo

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from market.open_orders import OpenOrder
    from meshnode.market_views import (
        AttestationInfo,
        AuditInfo,
        BookInfo,
        ContractInfo,
        HistoryEntry,
        InstrumentInfo,
        MarketInfo,
        MarketUpdate,
        OrderInfo,
        ReputationInfo,
        TradeInfo,
        WalletInfo,
    )
    from meshnode.node.market_lookup import MarketLookup
    from meshnode.shell.runtime import Runtime

STEPS_AT_ONCE: Final = 64
CONTRACT_DIGITS_MAX: Final = 64
AFTER_MAX: Final = 2**63 - 1
"""Places that SQLite can count."""


class MarketReader:
    """Answers what people ask about the market; changes nothing."""

    def __init__(self, runtime: Runtime, lookup: MarketLookup) -> None:
        self._runtime = runtime
        self._lookup = lookup

    def present(self) -> MarketPresenter:
        """Show the market with the names of this moment."""
        return MarketPresenter(self._runtime.market, self._lookup.list_names())

    # --- as it stands ---------------------------------------------------------------------------

    def show_market(self) -> MarketInfo:
        """The market at a glance."""
        return show_market(self._runtime.market)

    def show_money(self) -> MoneyInfo:
        """Own money and orders, for the node's status."""
        wallet = self.present().show_wallet(self._runtime.author)
        return MoneyInfo(
            free_uruv=wallet.free_uruv,
            locked_uruv=wallet.reserved_uruv
            + wallet.bonded_uruv
            + wallet.escrow_uruv
            + wallet.collateral_uruv,
            open_orders=wallet.open_orders,
            live_contracts=wallet.live_contracts,
        )

    def measure(self) -> Trade:
        """Own part in the market in figures."""
        market, own = self._runtime.market, self._runtime.author
        wallet = self.present().show_wallet(own)
        sides = [row.side for row in market.desk.orders.rows() if row.account == own]
        return Trade(
            orders={side.value: sides.count(side) for side in Side},
            money_uruv={
                "free": wallet.free_uruv,
                "reserved": wallet.reserved_uruv,
                "bonded": wallet.bonded_uruv,
                "escrow": wallet.escrow_uruv,
                "collateral": wallet.collateral_uruv,
            },
            contracts=wallet.live_contracts,
            trades=sum(book.trades for book in market.desk.list_books()),
        )

    def list_instruments(self) -> list[InstrumentInfo]:
        """What is listed, by variant."""
        models = self._runtime.market.compliance.models
        shown = [self.present().show_instrument(model) for model, _ in models.items()]
        return sorted(shown, key=_get_variant)

    def show_book(self, model: str, depth: int) -> BookInfo:
        """The order book of a model. Raises `CommandRejected`."""
        check_limit(depth)
        return self.present().show_book(self._lookup.find_model(model), depth)

    def list_orders(self, *, account: str | None, model: str | None, limit: int) -> list[OrderInfo]:
        """Open orders, the newest first. Raises `CommandRejected`."""
        check_limit(limit)
        owner = None if account is None else self._lookup.find_account(account)
        name = None if model is None else self._lookup.find_model(model)
        rows: list[OpenOrder] = [
            row
            for row in self._runtime.market.desk.orders.rows()
            if owner in (None, row.account) and name in (None, row.model)
        ]
        shown = self.present()
        return [shown.show_order(row) for row in sorted(rows, key=_get_entry)[:limit]]

    def list_attestations(
        self, *, account: str | None, model: str | None, limit: int
    ) -> list[AttestationInfo]:
        """Who opens which backend for which model. Raises `CommandRejected`."""
        check_limit(limit)
        owner = None if account is None else self._lookup.find_account(account)
        name = None if model is None else self._lookup.find_model(model)
        rows = [
            row
            for _, row in self._runtime.market.compliance.attestations.items()
            if owner in (None, row.account) and name in (None, row.model)
        ]
        shown = self.present()
        return [shown.show_attestation(row) for row in rows[:limit]]

    def show_wallet(self, account: str | None) -> WalletInfo:
        """The money of an account. Raises `CommandRejected`."""
        return self.present().show_wallet(self._lookup.find_account(account))

    def show_reputation(self, account: str | None) -> ReputationInfo:
        """What an account has done. Raises `CommandRejected`."""
        return self.present().show_reputation(self._lookup.find_account(account))

    # --- as it was ------------------------------------------------------------------------------

    async def list_trades(
        self, *, account: str | None, model: str | None, limit: int
    ) -> list[TradeInfo]:
        """Trades that are remembered, the newest first. Raises `CommandRejected`."""
        check_limit(limit)
        stored = await self._runtime.market_history.read_contracts(
            account=None if account is None else self._lookup.find_account(account),
            model=None if model is None else self._lookup.find_model(model),
            limit=limit,
        )
        shown = self.present()
        return [shown.show_trade(each) for each in stored]

    async def list_contracts(
        self, *, account: str | None, ended: bool, limit: int
    ) -> list[ContractInfo]:
        """Live contracts, or those that are over. Raises `CommandRejected`."""
        check_limit(limit)
        party = None if account is None else self._lookup.find_account(account)
        if not ended:
            rows = list_contracts(self._runtime.market, party)[:limit]
            shown = self.present()
            return [shown.show_contract(row) for row in rows]
        stored = await self._runtime.market_history.read_contracts(
            account=party, ended=True, limit=limit
        )
        shown = self.present()
        return [shown.show_stored(each) for each in stored]

    async def show_contract(self, text: str) -> ContractInfo:
        """One contract, by its id or the beginning of it. Raises `CommandRejected`."""
        prefix = text.lower()
        digits = prefix[: len(prefix) // 2 * 2]
        if not 2 <= len(prefix) <= CONTRACT_DIGITS_MAX or prefix.strip("0123456789abcdef"):
            raise CommandRejected(
                f"'{text[:80]}' is no contract's id", hint="give the first hex digits of one"
            )
        stored = await self._runtime.market_history.find_contracts(
            bytes.fromhex(digits), limit=CONTRACT_DIGITS_MAX
        )
        found = {each.contract.id: self.present().show_stored(each) for each in stored}
        # After a snapshot there are live contracts that began before this node's history.
        for key, row in self._runtime.market.contracts.rows.items():
            found.setdefault(key, self.present().show_contract(row))
        matching = [shown for key, shown in found.items() if key.hex().startswith(prefix)]
        if len(matching) != 1:
            raise CommandRejected(
                f"{len(matching) or 'no'} contracts begin with '{prefix}'",
                hint="give more digits" if matching else "`meshnode market contracts` lists them",
            )
        return matching[0]

    async def list_history(self, account: str | None, limit: int) -> list[HistoryEntry]:
        """What happened to an account, the newest first. Raises `CommandRejected`."""
        check_limit(limit)
        stored = await self._runtime.market_history.read_events(
            account=self._lookup.find_account(account), limit=limit
        )
        shown = self.present()
        return [shown.show_event(each) for each in stored]

    async def audit(self, account: str | None, limit: int, after: int | None) -> AuditInfo:
        """An account's chain of events, checked as far as it is held. Raises `CommandRejected`."""
        check_limit(limit)
        history, name = self._runtime.market_history, self._lookup.find_account(account)
        # The check reads all that is held, so of pages only the first comes with it.
        held = None if after else await history.sum_audit(name)
        if after is None:
            stored = await history.read_events(account=name, limit=limit, refusals=False)
            return self.present().show_audit(name, held, stored)
        if not 0 <= after <= AFTER_MAX:
            raise CommandRejected(
                f"there is no page behind {after}", hint="begin with 0, go on with `next_after`"
            )
        page = await history.read_chain(name, after=after, limit=limit)
        next_after = page[-1][0] if page else after
        return self.present().show_audit(name, held, (each for _, each in page), next_after)

    # --- as it goes on --------------------------------------------------------------------------

    async def watch(self, after: int | None) -> AsyncGenerator[MarketUpdate, None]:
        """What each commit does, in order and each once; first those behind the index `after`."""
        if after is not None and after < 0:
            raise CommandRejected(
                f"there is no commit {after}", hint="0 begins with the first commit"
            )
        position = self._runtime.market.index if after is None else after
        while True:
            try:
                async with self._runtime.events() as events:
                    async for step in self._replay(position):
                        position = step.position
                        yield self.present().show_step(step)
                    async for event in events:
                        if isinstance(event, Committed) and event.commit.index > position:
                            position = event.commit.index
                            if event.market is not None:
                                yield self.present().show_step(_make_step(event))
                return
            except SubscriberLagged:
                continue  # what was missed is in the journal

    async def _replay(self, after: int) -> AsyncIterator[StoredStep]:
        history = self._runtime.market_history
        while steps := await history.read_steps(after=after, limit=STEPS_AT_ONCE):
            for step in steps:
                yield step
            after = steps[-1].position


def _make_step(told: Committed) -> StoredStep:
    step, index, time_ms = told.market, told.commit.index, told.commit.time_ms
    assert step is not None, "only what a commit did is shown"
    trades = tuple(StoredContract(index, time_ms, contract) for contract in step.opened)
    return StoredStep(index, time_ms, step.events, trades)


def _get_variant(shown: InstrumentInfo) -> tuple[str, str]:
    return shown.variant, shown.model


def _get_entry(row: OpenOrder) -> tuple[int, bytes]:
    return -row.entered, row.id
