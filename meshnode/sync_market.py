"""The market in the blocking form of a node: the same methods with the same arguments.

`meshnode.market_port.MarketPort` says what each does and takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from market.commands import Command
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
        OutcomeInfo,
        ReputationInfo,
        SubmissionInfo,
        TradeInfo,
        WalletInfo,
    )


class SyncMarket(ABC):
    """Books, orders, contracts and money."""

    @abstractmethod
    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the node and wait for what it answers."""

    @abstractmethod
    def market_watch(self, *, after: int | None = None) -> Generator[MarketUpdate, None, None]:
        """What each commit does to the market from now on; blocks while nothing does."""

    def market(self) -> MarketInfo:
        """The market at a glance."""
        found: MarketInfo = self._call("market")
        return found

    def market_instruments(self) -> list[InstrumentInfo]:
        """What the committee has listed, by variant."""
        found: list[InstrumentInfo] = self._call("market_instruments")
        return found

    def market_book(self, model: str, **options: Any) -> BookInfo:
        """The order book of a model."""
        found: BookInfo = self._call("market_book", model, **options)
        return found

    def market_orders(self, **options: Any) -> list[OrderInfo]:
        """Open orders of everybody or of one account, the newest first."""
        found: list[OrderInfo] = self._call("market_orders", **options)
        return found

    def market_trades(self, **options: Any) -> list[TradeInfo]:
        """Trades that are remembered, the newest first."""
        found: list[TradeInfo] = self._call("market_trades", **options)
        return found

    def market_contracts(self, **options: Any) -> list[ContractInfo]:
        """Live contracts, or those that are over."""
        found: list[ContractInfo] = self._call("market_contracts", **options)
        return found

    def market_contract(self, contract: str) -> ContractInfo:
        """One contract, by its id or the beginning of it."""
        found: ContractInfo = self._call("market_contract", contract)
        return found

    def market_attestations(self, **options: Any) -> list[AttestationInfo]:
        """Who opens which backend for which model."""
        found: list[AttestationInfo] = self._call("market_attestations", **options)
        return found

    def market_reputation(self, account: str | None = None) -> ReputationInfo:
        """What an account has done."""
        found: ReputationInfo = self._call("market_reputation", account)
        return found

    def market_audit(self, account: str | None = None, **options: Any) -> AuditInfo:
        """An account's chain of events."""
        found: AuditInfo = self._call("market_audit", account, **options)
        return found

    def market_bid(self, model: str, **options: Any) -> OutcomeInfo:
        """Bid for capacity. Raises `MarketRefused`."""
        found: OutcomeInfo = self._call("market_bid", model, **options)
        return found

    def market_offer(self, model: str, **options: Any) -> OutcomeInfo:
        """Offer capacity. Raises `MarketRefused`."""
        found: OutcomeInfo = self._call("market_offer", model, **options)
        return found

    def market_cancel(self, order: str | None = None, **options: Any) -> OutcomeInfo:
        """Take back one order; without one all, or all of a model."""
        found: OutcomeInfo = self._call("market_cancel", order, **options)
        return found

    def market_attest(self, model: str, **options: Any) -> OutcomeInfo:
        """Open the own backend for a model, by one's own choice."""
        found: OutcomeInfo = self._call("market_attest", model, **options)
        return found

    def market_revoke(self, model: str, **options: Any) -> OutcomeInfo:
        """Take an attestation back."""
        found: OutcomeInfo = self._call("market_revoke", model, **options)
        return found

    def market_list(self, variant: str, **options: Any) -> OutcomeInfo:
        """Move, as a validator, that an instrument is listed."""
        found: OutcomeInfo = self._call("market_list", variant, **options)
        return found

    def market_submit(self, commands: Sequence[Command], **options: Any) -> SubmissionInfo:
        """Say 1 to 128 commands in one vertex."""
        found: SubmissionInfo = self._call("market_submit", commands, **options)
        return found

    def market_submission(self, vertex: str, **options: Any) -> SubmissionInfo:
        """What became of the commands of a vertex."""
        found: SubmissionInfo = self._call("market_submission", vertex, **options)
        return found

    def wallet(self, account: str | None = None) -> WalletInfo:
        """The money of an account, by default the node's own."""
        found: WalletInfo = self._call("wallet", account)
        return found

    def wallet_history(self, account: str | None = None, **options: Any) -> list[HistoryEntry]:
        """What happened to an account, the newest first."""
        found: list[HistoryEntry] = self._call("wallet_history", account, **options)
        return found

    def wallet_send(self, receiver: str, amount_uruv: int, **options: Any) -> OutcomeInfo:
        """Give free money to another account."""
        found: OutcomeInfo = self._call("wallet_send", receiver, amount_uruv, **options)
        return found

    def wallet_stake(self, amount_uruv: int, **options: Any) -> OutcomeInfo:
        """Turn free money into stake."""
        found: OutcomeInfo = self._call("wallet_stake", amount_uruv, **options)
        return found

    def wallet_unstake(self, amount_uruv: int, **options: Any) -> OutcomeInfo:
        """Begin to turn stake into free money."""
        found: OutcomeInfo = self._call("wallet_unstake", amount_uruv, **options)
        return found

    def wallet_mint(self, account: str, amount_uruv: int, **options: Any) -> OutcomeInfo:
        """Move, as a validator, that an account gets new money."""
        found: OutcomeInfo = self._call("wallet_mint", account, amount_uruv, **options)
        return found
