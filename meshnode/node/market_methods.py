"""What an application can ask a node about the market and money: a part of `NodeHandle`.

`meshnode.market_port.MarketPort` says what each method does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from market.commands import (
    Attest,
    CancelAll,
    CancelOrder,
    ListMotion,
    MintMotion,
    Revoke,
    Stake,
    Transfer,
    Unstake,
)
from market.orders import Side
from meshnode.market_views import LISTED, ORDERED_WAIT_MS
from meshnode.node.market_orders import make_order, read_digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from market.commands import Backend, Command, Policy
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
    from meshnode.node.market_desk import MarketDesk
    from meshnode.node.market_lookup import MarketLookup
    from meshnode.node.market_reader import MarketReader


class MarketRoom(NamedTuple):
    """The parts of a node that deal with the market."""

    reader: MarketReader
    desk: MarketDesk
    lookup: MarketLookup


class MarketMethods(ABC):
    """Books, orders, contracts and money."""

    @abstractmethod
    def _get_market(self) -> MarketRoom:
        """The node's market room. Raises `NodeClosed`."""

    @abstractmethod
    def _read_clock_ms(self) -> int:
        """The node's clock: Unix milliseconds."""

    # --- looking --------------------------------------------------------------------------------

    async def market(self) -> MarketInfo:
        """The market at a glance."""
        return self._get_market().reader.show_market()

    async def market_instruments(self) -> list[InstrumentInfo]:
        """What the committee has listed, by variant."""
        return self._get_market().reader.list_instruments()

    async def market_book(self, model: str, *, depth: int = LISTED) -> BookInfo:
        """The order book of a model, at most so many levels of each side."""
        return self._get_market().reader.show_book(model, depth)

    async def market_orders(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[OrderInfo]:
        """Open orders of everybody or of one account, the newest first."""
        return self._get_market().reader.list_orders(account=account, model=model, limit=limit)

    async def market_trades(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[TradeInfo]:
        """Trades that are remembered here, the newest first."""
        reader = self._get_market().reader
        return await reader.list_trades(account=account, model=model, limit=limit)

    async def market_contracts(
        self, *, account: str | None = None, ended: bool = False, limit: int = LISTED
    ) -> list[ContractInfo]:
        """Live contracts, the newest first; with `ended` those that are over."""
        reader = self._get_market().reader
        return await reader.list_contracts(account=account, ended=ended, limit=limit)

    async def market_contract(self, contract: str) -> ContractInfo:
        """One contract, by its id or the beginning of it."""
        return await self._get_market().reader.show_contract(contract)

    async def market_attestations(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[AttestationInfo]:
        """Who opens which backend for which model."""
        reader = self._get_market().reader
        return reader.list_attestations(account=account, model=model, limit=limit)

    async def market_reputation(self, account: str | None = None) -> ReputationInfo:
        """What an account has done, by default the node's own."""
        return self._get_market().reader.show_reputation(account)

    async def market_audit(
        self, account: str | None = None, *, limit: int = LISTED, after: int | None = None
    ) -> AuditInfo:
        """An account's chain of events, by default the node's own; with `after` a page of it."""
        return await self._get_market().reader.audit(account, limit, after)

    async def market_watch(self, *, after: int | None = None) -> AsyncGenerator[MarketUpdate, None]:
        """What each commit does to the market from now on; with `after` first those behind it."""
        async with aclosing(self._get_market().reader.watch(after)) as updates:
            async for update in updates:
                yield update

    # --- orders ---------------------------------------------------------------------------------

    async def market_bid(
        self,
        model: str,
        *,
        price_uruv: int | None,
        lots: int,
        context_tokens: int | None = None,
        sla_bp: int | None = None,
        first_token_ms: int | None = None,
        reputation_bp: int | None = None,
        flags: Sequence[str] = (),
        time_in_force: str = "gtc",
        expires_in_ms: int | None = None,
        budget_uruv: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Bid for capacity. Raises `MarketRefused`."""
        room = self._get_market()
        wanted = {
            "context_tokens": context_tokens,
            "sla_bp": sla_bp,
            "first_token_ms": first_token_ms,
            "reputation_bp": reputation_bp,
        }
        order = make_order(
            room.lookup.find_model(model),
            Side.BID,
            price_uruv=price_uruv,
            lots=lots,
            attributes=wanted,
            flags=flags,
            time_in_force=time_in_force,
            expires_in_ms=expires_in_ms,
            now_ms=self._read_clock_ms(),
            budget_uruv=budget_uruv,
        )
        return await room.desk.submit_one(order, wait_ms=wait_ms)

    async def market_offer(
        self,
        model: str,
        *,
        price_uruv: int,
        lots: int,
        context_tokens: int | None = None,
        sla_bp: int | None = None,
        first_token_ms: int | None = None,
        flags: Sequence[str] = (),
        time_in_force: str = "gtc",
        expires_in_ms: int | None = None,
        epochs: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Offer capacity. Raises `MarketRefused`."""
        room = self._get_market()
        given = {
            "context_tokens": context_tokens,
            "sla_bp": sla_bp,
            "first_token_ms": first_token_ms,
        }
        order = make_order(
            room.lookup.find_model(model),
            Side.OFFER,
            price_uruv=price_uruv,
            lots=lots,
            attributes=given,
            flags=flags,
            time_in_force=time_in_force,
            expires_in_ms=expires_in_ms,
            now_ms=self._read_clock_ms(),
            epochs=epochs,
        )
        return await room.desk.submit_one(order, wait_ms=wait_ms)

    async def market_cancel(
        self,
        order: str | None = None,
        *,
        model: str | None = None,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Take back one order; without one all, or all of a model."""
        room = self._get_market()
        command: Command
        if order is not None:
            command = CancelOrder(room.lookup.find_order(order))
        else:
            command = CancelAll(b"" if model is None else room.lookup.find_model(model))
        return await room.desk.submit_one(command, wait_ms=wait_ms)

    # --- who may offer --------------------------------------------------------------------------

    async def market_attest(
        self,
        model: str,
        *,
        backend: Backend,
        terms_digest: str,
        terms_version: str,
        hardware_digest: str,
        daily_cap_lots: int,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Open the own backend for a model, by one's own choice and without any credential."""
        room = self._get_market()
        command = Attest(
            room.lookup.find_model(model),
            backend,
            read_digest(terms_digest, "terms_digest"),
            terms_version,
            read_digest(hardware_digest, "hardware_digest"),
            daily_cap_lots,
            opted_in=True,
            shares_credentials=False,
        )
        return await room.desk.submit_one(command, wait_ms=wait_ms)

    async def market_revoke(self, model: str, *, wait_ms: int = ORDERED_WAIT_MS) -> OutcomeInfo:
        """Take an attestation back; resting offers end in the same commit."""
        room = self._get_market()
        return await room.desk.submit_one(Revoke(room.lookup.find_model(model)), wait_ms=wait_ms)

    async def market_list(
        self,
        variant: str,
        *,
        policy: Policy = "open",
        backend_class: str = "own_weights",
        in_weight_bp: int = 2_500,
        nonce: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Move, as a validator, that an instrument is listed with this policy."""
        command = ListMotion(variant, backend_class, in_weight_bp, policy, nonce)
        return await self._get_market().desk.submit_one(command, wait_ms=wait_ms)

    # --- money ----------------------------------------------------------------------------------

    async def wallet(self, account: str | None = None) -> WalletInfo:
        """The money of an account, by default the node's own."""
        return self._get_market().reader.show_wallet(account)

    async def wallet_history(
        self, account: str | None = None, *, limit: int = LISTED
    ) -> list[HistoryEntry]:
        """What happened to an account as remembered here, the newest first."""
        return await self._get_market().reader.list_history(account, limit)

    async def wallet_send(
        self, receiver: str, amount_uruv: int, *, memo: str = "", wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Give free money to another account: a member, or any whole author id."""
        room = self._get_market()
        command = Transfer(room.lookup.find_account(receiver), amount_uruv, memo)
        return await room.desk.submit_one(command, wait_ms=wait_ms)

    async def wallet_stake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Turn free money into stake."""
        return await self._get_market().desk.submit_one(Stake(amount_uruv), wait_ms=wait_ms)

    async def wallet_unstake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Begin to turn stake into free money; it takes 14 days."""
        return await self._get_market().desk.submit_one(Unstake(amount_uruv), wait_ms=wait_ms)

    async def wallet_mint(
        self,
        account: str,
        amount_uruv: int,
        *,
        nonce: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Move, as a validator, that an account gets new money."""
        room = self._get_market()
        command = MintMotion(room.lookup.find_account(account), amount_uruv, nonce)
        return await room.desk.submit_one(command, wait_ms=wait_ms)

    # --- everything -----------------------------------------------------------------------------

    async def market_submit(
        self, commands: Sequence[Command], *, wait_ms: int = ORDERED_WAIT_MS
    ) -> SubmissionInfo:
        """Say 1 to 128 commands in one vertex; refusals stand in the outcomes."""
        return await self._get_market().desk.submit(commands, wait_ms=wait_ms)

    async def market_submission(self, vertex: str, *, wait_ms: int = 0) -> SubmissionInfo:
        """What became of the commands of a vertex, by its id or the beginning of it."""
        return await self._get_market().desk.find_submission(vertex, wait_ms=wait_ms)
