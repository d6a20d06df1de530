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

from typing import TYPE_CHECKING, Any

from aiohttp import web

from meshnode.gateway.bodies import EventsQuery, read_body, read_query
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
from meshnode.gateway.streaming import answer_events, encode_event, read_position
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.gateway.port import MeshNode, NodeHost
    from meshnode.market_views import MarketUpdate
    from meshnode.views import View


class MarketApi:
    """The handlers of `/api/v1/market` and `/api/v1/wallet`."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/api/v1/market", self._market),
            web.get("/api/v1/market/instruments", self._instruments),
            web.get("/api/v1/market/book", self._book),
            web.get("/api/v1/market/orders", self._orders),
            web.get("/api/v1/market/trades", self._trades),
            web.get("/api/v1/market/contracts", self._contracts),
            web.get("/api/v1/market/contracts/{id}", self._contract),
            web.get("/api/v1/market/attestations", self._attestations),
            web.get("/api/v1/market/reputation", self._reputation),
            web.get("/api/v1/market/audit", self._audit),
            web.get("/api/v1/market/submissions/{id}", self._submission),
            web.get("/api/v1/market/events", self._events),
            web.post("/api/v1/market/bid", self._bid),
            web.post("/api/v1/market/offer", self._offer),
            web.post("/api/v1/market/cancel", self._cancel),
            web.post("/api/v1/market/attest", self._attest),
            web.post("/api/v1/market/revoke", self._revoke),
            web.post("/api/v1/market/list", self._list),
            web.post("/api/v1/market/submit", self._submit),
            web.get("/api/v1/wallet", self._wallet),
            web.get("/api/v1/wallet/history", self._history),
            web.post("/api/v1/wallet/send", self._send),
            web.post("/api/v1/wallet/stake", self._stake),
            web.post("/api/v1/wallet/unstake", self._unstake),
            web.post("/api/v1/wallet/mint", self._mint),
        ]

    @property
    def _node(self) -> MeshNode:
        return self._host.get_node()

    # --- looking --------------------------------------------------------------------------------

    async def _market(self, _: web.Request) -> web.Response:
        return _answer(await self._node.market())

    async def _instruments(self, _: web.Request) -> web.Response:
        return _answer_list("instruments", await self._node.market_instruments())

    async def _book(self, request: web.Request) -> web.Response:
        query = read_query(request, BookQuery)
        return _answer(await self._node.market_book(query.model, depth=query.depth))

    async def _orders(self, request: web.Request) -> web.Response:
        query = read_query(request, ListQuery)
        found = await self._node.market_orders(
            account=query.account, model=query.model, limit=query.limit
        )
        return _answer_list("orders", found)

    async def _trades(self, request: web.Request) -> web.Response:
        query = read_query(request, ListQuery)
        found = await self._node.market_trades(
            account=query.account, model=query.model, limit=query.limit
        )
        return _answer_list("trades", found)

    async def _contracts(self, request: web.Request) -> web.Response:
        query = read_query(request, ContractsQuery)
        found = await self._node.market_contracts(
            account=query.account, ended=query.ended, limit=query.limit
        )
        return _answer_list("contracts", found)

    async def _contract(self, request: web.Request) -> web.Response:
        return _answer(await self._node.market_contract(request.match_info["id"]))

    async def _attestations(self, request: web.Request) -> web.Response:
        query = read_query(request, ListQuery)
        found = await self._node.market_attestations(
            account=query.account, model=query.model, limit=query.limit
        )
        return _answer_list("attestations", found)

    async def _reputation(self, request: web.Request) -> web.Response:
        query = read_query(request, AccountQuery)
        return _answer(await self._node.market_reputation(query.account))

    async def _audit(self, request: web.Request) -> web.Response:
        query = read_query(request, AuditQuery)
        return _answer(
            await self._node.market_audit(query.account, limit=query.limit, after=query.after)
        )

    async def _submission(self, request: web.Request) -> web.Response:
        query = read_query(request, SubmissionQuery)
        vertex = request.match_info["id"]
        return _answer(await self._node.market_submission(vertex, wait_ms=query.wait_ms))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = read_position(request, read_query(request, EventsQuery).after)
        return await answer_events(request, self._node.market_watch(after=after), _encode_update)

    # --- saying ---------------------------------------------------------------------------------

    async def _bid(self, request: web.Request) -> web.Response:
        body = await read_body(request, BidBody)
        return _answer(await self._node.market_bid(body.model, **_get_terms(body)))

    async def _offer(self, request: web.Request) -> web.Response:
        body = await read_body(request, OfferBody)
        return _answer(await self._node.market_offer(body.model, **_get_terms(body)))

    async def _cancel(self, request: web.Request) -> web.Response:
        body = await read_body(request, CancelBody)
        return _answer(
            await self._node.market_cancel(body.order, model=body.model, wait_ms=body.wait_ms)
        )

    async def _attest(self, request: web.Request) -> web.Response:
        body = await read_body(request, AttestBody)
        return _answer(await self._node.market_attest(body.model, **_get_terms(body)))

    async def _revoke(self, request: web.Request) -> web.Response:
        body = await read_body(request, RevokeBody)
        return _answer(await self._node.market_revoke(body.model, wait_ms=body.wait_ms))

    async def _list(self, request: web.Request) -> web.Response:
        body = await read_body(request, ListingBody)
        options: dict[str, Any] = get_options(body, "variant")
        return _answer(await self._node.market_list(body.variant, **options))

    async def _submit(self, request: web.Request) -> web.Response:
        body = await read_body(request, SubmitBody)
        return _answer(await self._node.market_submit(body.get_commands(), wait_ms=body.wait_ms))

    # --- money ----------------------------------------------------------------------------------

    async def _wallet(self, request: web.Request) -> web.Response:
        query = read_query(request, AccountQuery)
        return _answer(await self._node.wallet(query.account))

    async def _history(self, request: web.Request) -> web.Response:
        query = read_query(request, HistoryQuery)
        found = await self._node.wallet_history(query.account, limit=query.limit)
        return _answer_list("history", found)

    async def _send(self, request: web.Request) -> web.Response:
        body = await read_body(request, SendBody)
        return _answer(
            await self._node.wallet_send(
                body.receiver, body.amount_uruv, memo=body.memo, wait_ms=body.wait_ms
            )
        )

    async def _stake(self, request: web.Request) -> web.Response:
        body = await read_body(request, AmountBody)
        return _answer(await self._node.wallet_stake(body.amount_uruv, wait_ms=body.wait_ms))

    async def _unstake(self, request: web.Request) -> web.Response:
        body = await read_body(request, AmountBody)
        return _answer(await self._node.wallet_unstake(body.amount_uruv, wait_ms=body.wait_ms))

    async def _mint(self, request: web.Request) -> web.Response:
        body = await read_body(request, MintBody)
        return _answer(
            await self._node.wallet_mint(
                body.account, body.amount_uruv, nonce=body.nonce, wait_ms=body.wait_ms
            )
        )


def _get_terms(body: BidBody | OfferBody | AttestBody) -> dict[str, Any]:
    return get_options(body, "model")


def _encode_update(update: MarketUpdate) -> bytes:
    return encode_event("market_update", update.to_json(), position=update.commit_index)


def _answer(view: View) -> web.Response:
    return web.json_response(view.to_json())


def _answer_list(name: str, found: list[Any]) -> web.Response:
    return web.json_response(make_list_document(name, found))
