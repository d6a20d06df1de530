"""A stand-in for a node that trades, for tests of commands; and records of the market to show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from market.commands import Command
from meshnode.errors import CommandRejected
from meshnode.market_views import (
    AttestationInfo,
    AttributesInfo,
    AuditInfo,
    BookInfo,
    ContractInfo,
    HistoryEntry,
    InstrumentInfo,
    LevelInfo,
    MarketUpdate,
    OrderInfo,
    OutcomeInfo,
    ReceiptInfo,
    SubmissionInfo,
    TradeInfo,
    UnbondingInfo,
    WalletInfo,
)
from meshnode.views import VertexInfo
from tests.support.audit_chain import make_page
from tests.support.cli import FakeRemote
from tests.support.views import make_id, make_vertex

NOW_MS = 1_700_000_000_000
VARIANT = "kimi-k2/fp8"
MODULES = (
    "market_attest",
    "market_audit",
    "market_bid",
    "market_book",
    "market_committee",
    "market_contract",
    "market_lists",
    "market_offer",
    "market_watch",
    "wallet",
)
"""Of commands that talk to a node about the market."""


def make_instrument(**changes) -> InstrumentInfo:
    fields = {
        "model": make_id(VARIANT),
        "variant": VARIANT,
        "backend_class": "own_weights",
        "in_weight_bp": 2_500,
        "policy": "open",
        "best_bid_uruv": 1_900,
        "best_offer_uruv": 2_100,
        "bid_lots": 150,
        "offer_lots": 250,
        "orders": 6,
        "trades": 9,
    }
    return InstrumentInfo(**{**fields, **changes})


def make_level(price_uruv: int, lots: int, orders: int = 1, **attributes) -> LevelInfo:
    fields = {
        "context_tokens": 8_192,
        "sla_bp": 0,
        "first_token_ms": 86_400_000,
        "reputation_bp": 0,
    }
    return LevelInfo(
        price_uruv=price_uruv,
        lots=lots,
        orders=orders,
        attributes=AttributesInfo(**{**fields, **attributes}),
    )


def make_book(**changes) -> BookInfo:
    best = {
        "context_tokens": 131_072,
        "sla_bp": 9_990,
        "first_token_ms": 2_000,
        "reputation_bp": 5_000,
        "tee": True,
    }
    fields = {
        "instrument": make_instrument(),
        "bids": (make_level(1_900, 120, 3), make_level(1_500, 30)),
        "offers": (make_level(2_100, 50), make_level(2_500, 200, 2, **best)),
        "commit_index": 812,
        "time_ms": NOW_MS,
    }
    return BookInfo(**{**fields, **changes})


def make_order(**changes) -> OrderInfo:
    fields = {
        "id": make_id("order"),
        "account": make_id("alice"),
        "account_name": "alice",
        "model": make_id(VARIANT),
        "variant": VARIANT,
        "side": "bid",
        "price_uruv": 2_000,
        "lots": 50,
        "attributes": make_level(1, 1).attributes,
        "margin_uruv": 100_000,
        "bond_uruv": 100,
        "expires_ms": NOW_MS + 3_600_000,
        "entered_at": 4,
    }
    return OrderInfo(**{**fields, **changes})


def make_trade(**changes) -> TradeInfo:
    fields = {
        "contract": make_id("contract"),
        "model": make_id(VARIANT),
        "variant": VARIANT,
        "price_uruv": 2_000,
        "lots": 30,
        "buyer": make_id("alice"),
        "buyer_name": "alice",
        "provider": make_id("bob"),
        "provider_name": "bob",
        "bid": make_id("bid"),
        "offer": make_id("offer"),
        "commit_index": 5,
        "time_ms": NOW_MS,
    }
    return TradeInfo(**{**fields, **changes})


def make_contract(**changes) -> ContractInfo:
    fields = {
        "id": make_id("contract"),
        "phase": "delivering",
        "model": make_id(VARIANT),
        "variant": VARIANT,
        "buyer": make_id("alice"),
        "buyer_name": "alice",
        "provider": make_id("bob"),
        "provider_name": "bob",
        "bid": make_id("bid"),
        "offer": make_id("offer"),
        "price_uruv": 2_000,
        "lots": 30,
        "reward": False,
        "opened_ms": NOW_MS - 5_000,
        "due_ms": NOW_MS + 25_000,
        "sla_bp": 9_900,
        "escrow_uruv": 60_000,
        "collateral_uruv": 60_000,
        "cost_uruv": 24_000,
        "receipt": ReceiptInfo(
            seq=3,
            tokens_in=400,
            tokens_out=11_900,
            tokens_billed=12_000,
            first_token_ms=140,
            transcript_root=make_id("transcript"),
            final=False,
        ),
    }
    return ContractInfo(**{**fields, **changes})


def make_wallet(**changes) -> WalletInfo:
    fields = {
        "account": make_id("alice"),
        "name": "alice",
        "free_uruv": 12_500_000,
        "reserved_uruv": 100_100,
        "staked_uruv": 100_000_000,
        "unbonding_uruv": 5_000_000,
        "bonded_uruv": 105_000_000,
        "escrow_uruv": 60_000,
        "collateral_uruv": 0,
        "unbondings": (UnbondingInfo(amount_uruv=5_000_000, due_ms=NOW_MS + 90_000_000),),
        "open_orders": 1,
        "live_contracts": 1,
        "reputation_bp": 4_120,
        "commit_index": 812,
        "time_ms": NOW_MS,
    }
    return WalletInfo(**{**fields, **changes})


def make_attestation(**changes) -> AttestationInfo:
    fields = {
        "account": make_id("alice"),
        "account_name": "alice",
        "model": make_id(VARIANT),
        "variant": VARIANT,
        "backend": "own_weights",
        "terms_digest": make_id("terms"),
        "terms_version": "2025-07",
        "hardware_digest": make_id("hardware"),
        "daily_cap_lots": 1_000,
        "used_lots": 12,
        "opted_in_at": 3,
    }
    return AttestationInfo(**{**fields, **changes})


def make_entry(kind: str = "sent", commit_index: int = 7, **changes) -> HistoryEntry:
    fields = {
        "commit_index": commit_index,
        "time_ms": NOW_MS,
        "kind": kind,
        "account": make_id("alice"),
        "account_name": "alice",
        "subject": make_id("subject"),
        "amount_uruv": 250_000,
    }
    return HistoryEntry(**{**fields, **changes})


def make_outcome(command: str = "place_order", **changes) -> OutcomeInfo:
    fields = {"id": make_id("outcome"), "command": command, "status": "accepted"}
    return OutcomeInfo(**{**fields, **changes})


def make_update(**changes) -> MarketUpdate:
    fields = {
        "commit_index": 8,
        "time_ms": NOW_MS,
        "entries": (make_entry("order_placed"),),
        "trades": (make_trade(),),
    }
    return MarketUpdate(**{**fields, **changes})


@dataclass
class TradingRemote(FakeRemote):
    """Answers with what it was given, and remembers in `asked` what was wanted of it."""

    instruments: list[InstrumentInfo] = field(default_factory=lambda: [make_instrument()])
    book: BookInfo = field(default_factory=make_book)
    orders: list[OrderInfo] = field(default_factory=lambda: [make_order()])
    trades: list[TradeInfo] = field(default_factory=lambda: [make_trade()])
    contracts: list[ContractInfo] = field(default_factory=lambda: [make_contract()])
    attestations: list[AttestationInfo] = field(default_factory=lambda: [make_attestation()])
    entries: list[HistoryEntry] = field(default_factory=lambda: [make_entry()])
    updates: list[Any] = field(default_factory=lambda: [make_update()])
    audit: AuditInfo | None = None
    page_max: int = 1_000
    """Entries that a page of the audit has at most."""
    money: WalletInfo = field(default_factory=make_wallet)
    outcome: OutcomeInfo = field(default_factory=make_outcome)

    def stand_in(self, monkeypatch) -> None:
        """Take the place of the node for every command of the market."""
        for name in MODULES:
            monkeypatch.setattr(f"meshnode.cli.{name}.connect", lambda home: self)
        for name in ("market_lists", "wallet"):
            monkeypatch.setattr(f"meshnode.cli.{name}.read_now_ms", lambda: NOW_MS)

    def _want(self, name: str, **arguments: Any) -> None:
        self.asked.append({"call": name, **arguments})
        self._fail(name)

    async def market_instruments(self) -> list[InstrumentInfo]:
        return self.instruments

    async def market_book(self, model: str, *, depth: int = 50) -> BookInfo:
        self._want("book", model=model, depth=depth)
        return self.book

    async def market_orders(self, **arguments: Any) -> list[OrderInfo]:
        self._want("orders", **arguments)
        return self.orders

    async def market_trades(self, **arguments: Any) -> list[TradeInfo]:
        self._want("trades", **arguments)
        return self.trades

    async def market_contracts(self, **arguments: Any) -> list[ContractInfo]:
        self._want("contracts", **arguments)
        return self.contracts

    async def market_contract(self, contract: str) -> ContractInfo:
        self._want("contract", contract=contract)
        if not self.contracts:
            raise CommandRejected("no contract begins so")
        return self.contracts[0]

    async def market_attestations(self, **arguments: Any) -> list[AttestationInfo]:
        self._want("attestations", **arguments)
        return self.attestations

    async def market_audit(
        self, account: str | None = None, *, limit: int = 50, after: int | None = None
    ) -> AuditInfo:
        self._want("audit", account=account, limit=limit, after=after)
        assert self.audit is not None
        if after is None:
            return self.audit
        return make_page(self.audit, after, min(limit, self.page_max))

    async def market_watch(self, *, after: int | None = None) -> AsyncIterator[MarketUpdate]:
        for update in self.updates:
            if isinstance(update, BaseException):
                raise update
            yield update

    async def market_bid(self, model: str, **arguments: Any) -> OutcomeInfo:
        self._want("bid", model=model, **arguments)
        return self.outcome

    async def market_offer(self, model: str, **arguments: Any) -> OutcomeInfo:
        self._want("offer", model=model, **arguments)
        return self.outcome

    async def market_cancel(self, order: str | None = None, **arguments: Any) -> OutcomeInfo:
        self._want("cancel", order=order, **arguments)
        return self.outcome

    async def market_attest(self, model: str, **arguments: Any) -> OutcomeInfo:
        self._want("attest", model=model, **arguments)
        return self.outcome

    async def market_revoke(self, model: str, **arguments: Any) -> OutcomeInfo:
        self._want("revoke", model=model, **arguments)
        return self.outcome

    async def market_list(self, variant: str, **arguments: Any) -> OutcomeInfo:
        self._want("list", variant=variant, **arguments)
        return self.outcome

    async def market_submit(
        self, commands: Sequence[Command], *, wait_ms: int = 0
    ) -> SubmissionInfo:
        self._want("submit", commands=tuple(commands), wait_ms=wait_ms)
        return SubmissionInfo(
            vertex=make_id("vertex"), commit_index=9, time_ms=NOW_MS, outcomes=(self.outcome,)
        )

    async def wallet(self, account: str | None = None) -> WalletInfo:
        self._want("wallet", account=account)
        return self.money

    async def wallet_history(self, account: str | None = None, **arguments) -> list[HistoryEntry]:
        self._want("history", account=account, **arguments)
        return self.entries

    async def wallet_send(self, receiver: str, amount_uruv: int, **arguments) -> OutcomeInfo:
        self._want("send", receiver=receiver, amount_uruv=amount_uruv, **arguments)
        return self.outcome

    async def wallet_stake(self, amount_uruv: int, **arguments) -> OutcomeInfo:
        self._want("stake", amount_uruv=amount_uruv, **arguments)
        return self.outcome

    async def wallet_unstake(self, amount_uruv: int, **arguments) -> OutcomeInfo:
        self._want("unstake", amount_uruv=amount_uruv, **arguments)
        return self.outcome

    async def wallet_mint(self, account: str, amount_uruv: int, **arguments) -> OutcomeInfo:
        self._want("mint", account=account, amount_uruv=amount_uruv, **arguments)
        return self.outcome

    async def publish(self, content: Any, **arguments: Any) -> VertexInfo:
        self._want("publish", content=content, **arguments)
        return make_vertex("note", "alice", 5, kind="note")
