"""The market and money over HTTP.

    GET  /api/v1/market
    GET  /api/v1/market/instruments | book?model=&depth= | orders?account=&model=&limit=
    GET  /api/v1/market/trades?account=&model=&limit= | contracts?account=&ended=&limit=
    GET  /api/v1/market/contracts/ID | attestations?account=&model=&limit=
    GET  /api/v1/market/reputation?account= | audit?account=&limit=&after=
    GET  /api/v1/market/submissions/VERTEX?wait_ms=
    GET  /api/v1/market/events?after=   server-sent events, one JSON object per commit
    GET  /api/v1/wallet?account= | wallet/history?account=&limit=
    POST /api/v1/market/bid | offer | cancel | attest | revoke | list | submit
    POST /api/v1/wallet/send | stake | unstake | mint

Amounts are whole micro-ruv. Whoever posts waits up to `wait_ms` for the order and gets what became
of it; a refused command is an error with the code that every node recorded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshnode.gateway.bodies import EventsQuery
from meshnode.gateway.endpoints import Endpoint, Listed, Streamed, get, post
from meshnode.gateway.market_bodies import (
    AccountQuery,
    AmountBody,
    AttestBody,
    AuditQuery,
    BidBody,
    BookQuery,
    CancelBody,
    ContractsQuery,
    HistoryQuery,
    ListingBody,
    ListQuery,
    MintBody,
    OfferBody,
    RevokeBody,
    SendBody,
    SubmissionQuery,
    SubmitBody,
    get_options,
)
from meshnode.gateway.streaming import (
    EVENTS_TYPE,
    answer_events,
    encode_event,
    read_position,
)
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

if TYPE_CHECKING:
    from aiohttp import web

    from meshnode.gateway.port import MeshNode, NodeHost


class MarketApi:
    """The handlers of `/api/v1/market` and `/api/v1/wallet`."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        market = [*self._list_readable(), *self._list_history(), *self._list_sayable()]
        return [
            *(replace(endpoint, tag="market") for endpoint in market),
            *(replace(endpoint, tag="wallet") for endpoint in self._list_money()),
        ]

    def _list_readable(self) -> list[Endpoint]:
        return [
            get("/api/v1/market", "The market at a glance.", self._market, MarketInfo),
            get(
                "/api/v1/market/instruments",
                "What is listed.",
                self._instruments,
                Listed("instruments", InstrumentInfo),
            ),
            get(
                "/api/v1/market/book",
                "The order book of a model.",
                self._book,
                BookInfo,
                takes=BookQuery,
            ),
            get(
                "/api/v1/market/orders",
                "Open orders, newest first.",
                self._orders,
                Listed("orders", OrderInfo),
                takes=ListQuery,
            ),
            get(
                "/api/v1/market/attestations",
                "Who opens which backend for which model.",
                self._attestations,
                Listed("attestations", AttestationInfo),
                takes=ListQuery,
            ),
            get(
                "/api/v1/market/reputation",
                "What an account has done.",
                self._reputation,
                ReputationInfo,
                takes=AccountQuery,
            ),
            get(
                "/api/v1/market/events",
                "What each commit does to the market, from now on or from a commit on.",
                self._events,
                Streamed(EVENTS_TYPE, (MarketUpdate,)),
                takes=EventsQuery,
            ),
        ]

    def _list_history(self) -> list[Endpoint]:
        return [
            get(
                "/api/v1/market/trades",
                "Trades that are remembered here, newest first.",
                self._trades,
                Listed("trades", TradeInfo),
                takes=ListQuery,
            ),
            get(
                "/api/v1/market/contracts",
                "Live contracts, or those that are over.",
                self._contracts,
                Listed("contracts", ContractInfo),
                takes=ContractsQuery,
            ),
            get(
                "/api/v1/market/contracts/{id}",
                "One contract, by its id or its beginning.",
                self._contract,
                ContractInfo,
            ),
            get(
                "/api/v1/market/audit",
                "An account's chain of events.",
                self._audit,
                AuditInfo,
                takes=AuditQuery,
            ),
            get(
                "/api/v1/market/submissions/{id}",
                "What became of commands that were submitted; waits where told to.",
                self._submission,
                SubmissionInfo,
                takes=SubmissionQuery,
            ),
        ]

    def _list_sayable(self) -> list[Endpoint]:
        say = "/api/v1/market"
        return [
            post(f"{say}/bid", "Bid for capacity.", self._bid, OutcomeInfo, takes=BidBody),
            post(f"{say}/offer", "Offer capacity.", self._offer, OutcomeInfo, takes=OfferBody),
            post(f"{say}/cancel", "Cancel orders.", self._cancel, OutcomeInfo, takes=CancelBody),
            post(f"{say}/attest", "Open a backend.", self._attest, OutcomeInfo, takes=AttestBody),
            post(f"{say}/revoke", "Close a backend.", self._revoke, OutcomeInfo, takes=RevokeBody),
            post(
                f"{say}/list",
                "Ask the committee to list a variant.",
                self._list,
                OutcomeInfo,
                takes=ListingBody,
            ),
            post(
                f"{say}/submit",
                "Submit commands in the form in which vertices carry them.",
                self._submit,
                SubmissionInfo,
                takes=SubmitBody,
            ),
        ]

    def _list_money(self) -> list[Endpoint]:
        return [
            get(
                "/api/v1/wallet",
                "An account's money.",
                self._wallet,
                WalletInfo,
                takes=AccountQuery,
            ),
            get(
                "/api/v1/wallet/history",
                "What moved an account's money, newest first.",
                self._history,
                Listed("history", HistoryEntry),
                takes=HistoryQuery,
            ),
            post("/api/v1/wallet/send", "Send ruv.", self._send, OutcomeInfo, takes=SendBody),
            post("/api/v1/wallet/stake", "Stake ruv.", self._stake, OutcomeInfo, takes=AmountBody),
            post(
                "/api/v1/wallet/unstake",
                "Begin to free staked ruv.",
                self._unstake,
                OutcomeInfo,
                takes=AmountBody,
            ),
            post(
                "/api/v1/wallet/mint",
                "Ask the committee for new ruv.",
                self._mint,
                OutcomeInfo,
                takes=MintBody,
            ),
        ]

    @property
    def _node(self) -> MeshNode:
        return self._host.get_node()

    # --- looking --------------------------------------------------------------------------------

    async def _market(self, _: web.Request, __: None) -> MarketInfo:
        return await self._node.market()

    async def _instruments(self, _: web.Request, __: None) -> list[InstrumentInfo]:
        return await self._node.market_instruments()

    async def _book(self, _: web.Request, query: BookQuery) -> BookInfo:
        return await self._node.market_book(query.model, depth=query.depth)

    async def _orders(self, _: web.Request, query: ListQuery) -> list[OrderInfo]:
        return await self._node.market_orders(
            account=query.account, model=query.model, limit=query.limit
        )

    async def _trades(self, _: web.Request, query: ListQuery) -> list[TradeInfo]:
        return await self._node.market_trades(
            account=query.account, model=query.model, limit=query.limit
        )

    async def _contracts(self, _: web.Request, query: ContractsQuery) -> list[ContractInfo]:
        return await self._node.market_contracts(
            account=query.account, ended=query.ended, limit=query.limit
        )

    async def _contract(self, request: web.Request, _: None) -> ContractInfo:
        return await self._node.market_contract(request.match_info["id"])

    async def _attestations(self, _: web.Request, query: ListQuery) -> list[AttestationInfo]:
        return await self._node.market_attestations(
            account=query.account, model=query.model, limit=query.limit
        )

    async def _reputation(self, _: web.Request, query: AccountQuery) -> ReputationInfo:
        return await self._node.market_reputation(query.account)

    async def _audit(self, _: web.Request, query: AuditQuery) -> AuditInfo:
        return await self._node.market_audit(query.account, limit=query.limit, after=query.after)

    async def _submission(self, request: web.Request, query: SubmissionQuery) -> SubmissionInfo:
        vertex = request.match_info["id"]
        return await self._node.market_submission(vertex, wait_ms=query.wait_ms)

    async def _events(self, request: web.Request, query: EventsQuery) -> web.StreamResponse:
        after = read_position(request, query.after)
        return await answer_events(request, self._node.market_watch(after=after), _encode_update)

    # --- saying ---------------------------------------------------------------------------------

    async def _bid(self, _: web.Request, body: BidBody) -> OutcomeInfo:
        return await self._node.market_bid(body.model, **_get_terms(body))

    async def _offer(self, _: web.Request, body: OfferBody) -> OutcomeInfo:
        return await self._node.market_offer(body.model, **_get_terms(body))

    async def _cancel(self, _: web.Request, body: CancelBody) -> OutcomeInfo:
        return await self._node.market_cancel(body.order, model=body.model, wait_ms=body.wait_ms)

    async def _attest(self, _: web.Request, body: AttestBody) -> OutcomeInfo:
        return await self._node.market_attest(body.model, **_get_terms(body))

    async def _revoke(self, _: web.Request, body: RevokeBody) -> OutcomeInfo:
        return await self._node.market_revoke(body.model, wait_ms=body.wait_ms)

    async def _list(self, _: web.Request, body: ListingBody) -> OutcomeInfo:
        options: dict[str, Any] = get_options(body, "variant")
        return await self._node.market_list(body.variant, **options)

    async def _submit(self, _: web.Request, body: SubmitBody) -> SubmissionInfo:
        return await self._node.market_submit(body.get_commands(), wait_ms=body.wait_ms)

    # --- money ----------------------------------------------------------------------------------

    async def _wallet(self, _: web.Request, query: AccountQuery) -> WalletInfo:
        return await self._node.wallet(query.account)

    async def _history(self, _: web.Request, query: HistoryQuery) -> list[HistoryEntry]:
        return await self._node.wallet_history(query.account, limit=query.limit)

    async def _send(self, _: web.Request, body: SendBody) -> OutcomeInfo:
        return await self._node.wallet_send(
            body.receiver, body.amount_uruv, memo=body.memo, wait_ms=body.wait_ms
        )

    async def _stake(self, _: web.Request, body: AmountBody) -> OutcomeInfo:
        return await self._node.wallet_stake(body.amount_uruv, wait_ms=body.wait_ms)

    async def _unstake(self, _: web.Request, body: AmountBody) -> OutcomeInfo:
        return await self._node.wallet_unstake(body.amount_uruv, wait_ms=body.wait_ms)

    async def _mint(self, _: web.Request, body: MintBody) -> OutcomeInfo:
        return await self._node.wallet_mint(
            body.account, body.amount_uruv, nonce=body.nonce, wait_ms=body.wait_ms
        )


def _get_terms(body: BidBody | OfferBody | AttestBody) -> dict[str, Any]:
    return get_options(body, "model")


def _encode_update(update: MarketUpdate) -> bytes:
    return encode_event("market_update", update.to_json(), position=update.commit_index)
