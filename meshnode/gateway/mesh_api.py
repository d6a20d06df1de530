"""The node's own HTTP API, `/api/v1`: what the command line and `meshnode.connect()` speak.

    GET  /api/v1/status | peers | heads | vertices?limit=&kind=&author= | vertices/ID
    GET  /api/v1/vertices/ID/finality?wait_ms=
    GET  /api/v1/events?after=     server-sent events, one JSON object each; those of commits carry
                                   their index as `id`, and Last-Event-ID is as good as `after`
    POST /api/v1/ask               an answer, or with "stream": true its items, one JSON per line
    POST /api/v1/publish | invite | join | shutdown

Answers are the JSON forms of `meshnode.views`; failures are described in
`meshnode.gateway.problems`. A client that goes away ends its question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import web

from meshnode.errors import MeshError
from meshnode.event_views import VerticesOrdered
from meshnode.gateway.bodies import (
    AskBody,
    EventsQuery,
    FinalityQuery,
    InviteBody,
    JoinBody,
    PublishBody,
    VerticesQuery,
    read_body,
    read_query,
)
from meshnode.gateway.problems import make_problem
from meshnode.gateway.streaming import (
    answer_events,
    begin_stream,
    closing_items,
    encode_event,
    read_position,
)
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.event_views import NodeEvent
    from meshnode.gateway.port import NodeHost
    from meshnode.views import View

STREAM_TYPE: Final = "application/x-ndjson"


class MeshApi:
    """The handlers of `/api/v1`."""

    def __init__(self, host: NodeHost, get_api: Callable[[], str]) -> None:
        """`get_api` gives the address listened on, which the node itself does not know."""
        self._host = host
        self._get_api = get_api

    def make_routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/api/v1/status", self._status),
            web.get("/api/v1/peers", self._peers),
            web.get("/api/v1/heads", self._heads),
            web.get("/api/v1/vertices", self._vertices),
            web.get("/api/v1/vertices/{id}", self._vertex),
            web.get("/api/v1/vertices/{id}/finality", self._finality),
            web.get("/api/v1/events", self._events),
            web.post("/api/v1/ask", self._ask),
            web.post("/api/v1/publish", self._publish),
            web.post("/api/v1/invite", self._invite),
            web.post("/api/v1/join", self._join),
            web.post("/api/v1/shutdown", self._shutdown),
        ]

    async def _status(self, _: web.Request) -> web.Response:
        return _answer(await self._host.get_node().status(), api=self._get_api())

    async def _peers(self, _: web.Request) -> web.Response:
        return web.json_response(make_list_document("peers", await self._host.get_node().peers()))

    async def _heads(self, _: web.Request) -> web.Response:
        return _answer(await self._host.get_node().heads())

    async def _vertices(self, request: web.Request) -> web.Response:
        query = read_query(request, VerticesQuery)
        found = await self._host.get_node().vertices(
            limit=query.limit, kind=query.kind, author=query.author
        )
        return web.json_response(make_list_document("vertices", found))

    async def _vertex(self, request: web.Request) -> web.Response:
        return _answer(await self._host.get_node().vertex(request.match_info["id"]))

    async def _finality(self, request: web.Request) -> web.Response:
        query = read_query(request, FinalityQuery)
        node, vertex_id = self._host.get_node(), request.match_info["id"]
        return _answer(await node.finality(vertex_id, wait_ms=query.wait_ms))

    async def _publish(self, request: web.Request) -> web.Response:
        body = await read_body(request, PublishBody)
        info = await self._host.get_node().publish(
            body.get_content(),
            title=body.title,
            media_type=body.media_type,
            knowledge=body.knowledge,
        )
        return _answer(info)

    async def _invite(self, request: web.Request) -> web.Response:
        body = await read_body(request, InviteBody)
        ticket = await self._host.get_node().invite(
            uses=body.uses,
            expires_in_ms=body.expires_in_ms,
            role=body.role,
            grant_uruv=body.grant_uruv,
        )
        return web.json_response({"schema": "meshnode.invite/1", "ticket": ticket})

    async def _join(self, request: web.Request) -> web.Response:
        body = await read_body(request, JoinBody)
        return _answer(await self._host.join(body.ticket), api=self._get_api())

    async def _shutdown(self, _: web.Request) -> web.Response:
        self._host.request_shutdown()
        return web.json_response({"schema": "meshnode.shutdown/1", "stopping": True})

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request, AskBody)
        node, question = self._host.get_node(), body.get_question()
        if not body.stream:
            return _answer(await node.ask(question, **body.get_options()))
        # The first item is awaited before the status line: what fails at once has a status.
        async with closing_items(node.stream(question, **body.get_options())) as items:
            first = await anext(items)
            response = await begin_stream(request, STREAM_TYPE)
            await response.write(_encode_line(first.to_json()))
            try:
                async for item in items:
                    await response.write(_encode_line(item.to_json()))
            except MeshError as error:
                await response.write(_encode_line({"type": "error", **make_problem(error)}))
            await response.write_eof()
            return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = read_position(request, read_query(request, EventsQuery).after)
        events = self._host.get_node().events(after=after)
        return await answer_events(request, events, _encode_event)


def _encode_event(event: NodeEvent) -> bytes:
    index = event.commit_index if isinstance(event, VerticesOrdered) else None
    return encode_event(event.type, event.to_json(), position=index)


def _answer(view: View, **extra: Any) -> web.Response:
    return web.json_response({**view.to_json(), **extra})


def _encode_line(data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(data) + b"\n"
