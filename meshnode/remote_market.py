"""The market of a node in another process: the part of `RemoteNode` that is about it.

`meshnode.market_port.MarketPort` says what each method does.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from dag.canonical import encode
from market.commands import Batch
from meshnode.errors import MalformedMessage
from meshnode.market_views import (
    LISTED,
    ORDERED_WAIT_MS,
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
from meshnode.views import read_list_document

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from market.commands import Backend, Command, Policy

POST_GRACE_MS: Final = 30_000
"""How much longer than its own wait a command may take to be answered."""


class RemoteMarket(ABC):
    """Books, orders, contracts and money."""

    @abstractmethod
    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, wait_ms: int = 0
    ) -> object:
        """The JSON that a path answers, which may take `wait_ms` longer than usual."""

    @abstractmethod
    async def _post(
        self, path: str, body: dict[str, Any], *, timeout_ms: int = POST_GRACE_MS
    ) -> object:
        """The JSON that a path answers to a body."""

    @abstractmethod
    def _listen(
        self, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[object, None]:
        """The JSON of each server-sent event of a path."""

    # --- looking --------------------------------------------------------------------------------

    async def market(self) -> MarketInfo:
        """The market at a glance."""
        return MarketInfo.from_json(await self._get("/api/v1/market"))

    async def market_instruments(self) -> list[InstrumentInfo]:
        """What the committee has listed, by variant."""
        data = await self._get("/api/v1/market/instruments")
        return read_list_document("instruments", InstrumentInfo, data)

    async def market_book(self, model: str, *, depth: int = LISTED) -> BookInfo:
        """The order book of a model, at most so many levels of each side."""
        query = _make_query(model=model, depth=depth)
        return BookInfo.from_json(await self._get("/api/v1/market/book", query))

    async def market_orders(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[OrderInfo]:
        """Open orders of everybody or of one account, the newest first."""
        query = _make_query(account=account, model=model, limit=limit)
        data = await self._get("/api/v1/market/orders", query)
        return read_list_document("orders", OrderInfo, data)

    async def market_trades(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[TradeInfo]:
        """Trades that are remembered there, the newest first."""
        query = _make_query(account=account, model=model, limit=limit)
        data = await self._get("/api/v1/market/trades", query)
        return read_list_document("trades", TradeInfo, data)

    async def market_contracts(
        self, *, account: str | None = None, ended: bool = False, limit: int = LISTED
    ) -> list[ContractInfo]:
        """Live contracts, the newest first; with `ended` those that are over."""
        query = _make_query(account=account, ended=str(ended).lower(), limit=limit)
        data = await self._get("/api/v1/market/contracts", query)
        return read_list_document("contracts", ContractInfo, data)

    async def market_contract(self, contract: str) -> ContractInfo:
        """One contract, by its id or the beginning of it."""
        path = f"/api/v1/market/contracts/{_check_id(contract)}"
        return ContractInfo.from_json(await self._get(path))

    async def market_attestations(
        self, *, account: str | None = None, model: str | None = None, limit: int = LISTED
    ) -> list[AttestationInfo]:
        """Who opens which backend for which model."""
        query = _make_query(account=account, model=model, limit=limit)
        data = await self._get("/api/v1/market/attestations", query)
        return read_list_document("attestations", AttestationInfo, data)

    async def market_reputation(self, account: str | None = None) -> ReputationInfo:
        """What an account has done, by default the node's own."""
        data = await self._get("/api/v1/market/reputation", _make_query(account=account))
        return ReputationInfo.from_json(data)

    async def market_audit(
        self, account: str | None = None, *, limit: int = LISTED, after: int | None = None
    ) -> AuditInfo:
        """An account's chain of events, by default the node's own; with `after` a page of it."""
        query = _make_query(account=account, limit=limit, after=after)
        return AuditInfo.from_json(await self._get("/api/v1/market/audit", query))

    async def market_watch(self, *, after: int | None = None) -> AsyncGenerator[MarketUpdate, None]:
        """What each commit does to the market from now on; with `after` first those behind it."""
        query = _make_query(after=after)
        async with aclosing(self._listen("/api/v1/market/events", query)) as items:
            async for data in items:
                yield MarketUpdate.from_json(data)

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
        return await self._say(
            "market/bid",
            wait_ms,
            model=model,
            price_uruv=price_uruv,
            lots=lots,
            context_tokens=context_tokens,
            sla_bp=sla_bp,
            first_token_ms=first_token_ms,
            reputation_bp=reputation_bp,
            flags=list(flags),
            time_in_force=time_in_force,
            expires_in_ms=expires_in_ms,
            budget_uruv=budget_uruv,
        )

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
        return await self._say(
            "market/offer",
            wait_ms,
            model=model,
            price_uruv=price_uruv,
            lots=lots,
            context_tokens=context_tokens,
            sla_bp=sla_bp,
            first_token_ms=first_token_ms,
            flags=list(flags),
            time_in_force=time_in_force,
            expires_in_ms=expires_in_ms,
            epochs=epochs,
        )

    async def market_cancel(
        self,
        order: str | None = None,
        *,
        model: str | None = None,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Take back one order; without one all, or all of a model."""
        return await self._say("market/cancel", wait_ms, order=order, model=model)

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
        """Open the node's backend for a model, by its owner's choice and without any credential."""
        return await self._say(
            "market/attest",
            wait_ms,
            model=model,
            backend=backend,
            terms_digest=terms_digest,
            terms_version=terms_version,
            hardware_digest=hardware_digest,
            daily_cap_lots=daily_cap_lots,
        )

    async def market_revoke(self, model: str, *, wait_ms: int = ORDERED_WAIT_MS) -> OutcomeInfo:
        """Take an attestation back; resting offers end in the same commit."""
        return await self._say("market/revoke", wait_ms, model=model)

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
        return await self._say(
            "market/list",
            wait_ms,
            variant=variant,
            policy=policy,
            backend_class=backend_class,
            in_weight_bp=in_weight_bp,
            nonce=nonce,
        )

    # --- money ----------------------------------------------------------------------------------

    async def wallet(self, account: str | None = None) -> WalletInfo:
        """The money of an account, by default the node's own."""
        return WalletInfo.from_json(await self._get("/api/v1/wallet", _make_query(account=account)))

    async def wallet_history(
        self, account: str | None = None, *, limit: int = LISTED
    ) -> list[HistoryEntry]:
        """What happened to an account as remembered there, the newest first."""
        query = _make_query(account=account, limit=limit)
        data = await self._get("/api/v1/wallet/history", query)
        return read_list_document("history", HistoryEntry, data)

    async def wallet_send(
        self, receiver: str, amount_uruv: int, *, memo: str = "", wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Give free money to another account: a member, or any whole author id."""
        return await self._say(
            "wallet/send", wait_ms, receiver=receiver, amount_uruv=amount_uruv, memo=memo
        )

    async def wallet_stake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Turn free money into stake."""
        return await self._say("wallet/stake", wait_ms, amount_uruv=amount_uruv)

    async def wallet_unstake(
        self, amount_uruv: int, *, wait_ms: int = ORDERED_WAIT_MS
    ) -> OutcomeInfo:
        """Begin to turn stake into free money; it takes 14 days."""
        return await self._say("wallet/unstake", wait_ms, amount_uruv=amount_uruv)

    async def wallet_mint(
        self,
        account: str,
        amount_uruv: int,
        *,
        nonce: int = 0,
        wait_ms: int = ORDERED_WAIT_MS,
    ) -> OutcomeInfo:
        """Move, as a validator, that an account gets new money."""
        return await self._say(
            "wallet/mint", wait_ms, account=account, amount_uruv=amount_uruv, nonce=nonce
        )

    # --- everything -----------------------------------------------------------------------------

    async def market_submit(
        self, commands: Sequence[Command], *, wait_ms: int = ORDERED_WAIT_MS
    ) -> SubmissionInfo:
        """Say 1 to 128 commands in one vertex; refusals stand in the outcomes."""
        batch = base64.b64encode(encode(Batch(tuple(commands)))).decode("ascii")
        data = await self._post(
            "/api/v1/market/submit",
            {"batch_base64": batch, "wait_ms": wait_ms},
            timeout_ms=POST_GRACE_MS + wait_ms,
        )
        return SubmissionInfo.from_json(data)

    async def market_submission(self, vertex: str, *, wait_ms: int = 0) -> SubmissionInfo:
        """What became of the commands of a vertex, by its id or the beginning of it."""
        path = f"/api/v1/market/submissions/{_check_id(vertex)}"
        data = await self._get(path, _make_query(wait_ms=wait_ms), wait_ms=wait_ms)
        return SubmissionInfo.from_json(data)

    async def _say(self, path: str, wait_ms: int, **body: Any) -> OutcomeInfo:
        data = await self._post(
            f"/api/v1/{path}", {**body, "wait_ms": wait_ms}, timeout_ms=POST_GRACE_MS + wait_ms
        )
        return OutcomeInfo.from_json(data)


def _make_query(**values: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


def _check_id(text: str) -> str:
    if not text.isalnum():
        raise MalformedMessage(f"{text[:80]!r} is no id", hint="ids are hex")
    return text
