"""The node's own HTTP API, `/api/v1`: what the command line and `meshnode.connect()` speak.

    GET  /api/v1/status | peers | heads | vertices?limit=&kind=&author= | vertices/ID
    GET  /api/v1/vertices/ID/finality?wait_ms=
    GET  /api/v1/route?model=&prompt= | placements?limit=
    GET  /api/v1/events?after=     server-sent events, one JSON object each; those of commits carry
                                   their index as `id`, and Last-Event-ID is as good as `after`
    POST /api/v1/ask               an answer, or with "stream": true its items, one JSON per line
    POST /api/v1/publish | invite | join | shutdown

Answers are the JSON forms of `meshnode.views`; failures are described in
`meshnode.gateway.problems`. A client that goes away ends its question.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from aiohttp import web

from meshnode.errors import MeshError
from meshnode.event_views import EVENT_VIEWS, VerticesOrdered
from meshnode.gateway.access import get_caller
from meshnode.gateway.bodies import (
    AskBody,
    EventsQuery,
    FinalityQuery,
    InviteBody,
    JoinBody,
    PlacementsQuery,
    PublishBody,
    RouteQuery,
    VerticesQuery,
)
from meshnode.gateway.door.facts import get_cost_uruv
from meshnode.gateway.endpoints import Endpoint, Listed, Streamed, get, post
from meshnode.gateway.problems import make_problem
from meshnode.gateway.refusals import InvalidRequest
from meshnode.gateway.streaming import (
    EVENTS_TYPE,
    answer_events,
    begin_stream,
    closing_items,
    encode_event,
    read_position,
)
from meshnode.route_views import PlacementInfo, RouteInfo
from meshnode.views import (
    Answer,
    Delta,
    Finality,
    Finished,
    HeadsInfo,
    NodeStatus,
    PeerInfo,
    Progress,
    Started,
    VertexDetail,
    VertexInfo,
    View,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshnode.event_views import NodeEvent
    from meshnode.gateway.limits import Hold, Limits
    from meshnode.gateway.port import NodeHost
    from meshnode.views import StreamItem

STREAM_TYPE: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(View):
    """What lets somebody join; it holds a secret."""

    schema: ClassVar[str] = "meshnode.invite/1"

    ticket: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(View):
    """The node has heard that it is to stop."""

    schema: ClassVar[str] = "meshnode.shutdown/1"

    stopping: bool = True


class MeshApi:
    """The handlers of `/api/v1`."""

    def __init__(self, host: NodeHost, limits: Limits, get_url: Callable[[], str]) -> None:
        """`get_url` gives where the interface is found, which the node itself does not know."""
        self._host = host
        self._limits = limits
        self._get_url = get_url

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        return [*self._list_readable(), *self._list_doable()]

    def _list_readable(self) -> list[Endpoint]:
        vertex = "/api/v1/vertices/{id}"
        return [
            get("/api/v1/status", "The node at a glance.", self._status, NodeStatus),
            get("/api/v1/peers", "The other members.", self._peers, Listed("peers", PeerInfo)),
            get("/api/v1/heads", "What the store amounts to.", self._heads, HeadsInfo),
            get(
                "/api/v1/vertices",
                "The newest vertices, newest first.",
                self._vertices,
                Listed("vertices", VertexInfo),
                takes=VerticesQuery,
            ),
            get(vertex, "One vertex, by its id or its beginning.", self._vertex, VertexDetail),
            get(
                f"{vertex}/finality",
                "Whether a vertex has its place in the agreed order; waits for it where told to.",
                self._finality,
                Finality,
                takes=FinalityQuery,
            ),
            get(
                "/api/v1/route",
                "Whom a question would go to, and what each peer would cost; nothing is asked.",
                self._route,
                RouteInfo,
                takes=RouteQuery,
            ),
            get(
                "/api/v1/placements",
                "What this node decided on letting engines answer questions, newest first.",
                self._placements,
                Listed("placements", PlacementInfo),
                takes=PlacementsQuery,
            ),
            get(
                "/api/v1/events",
                "What happens from now on; commits carry their index as the event's id.",
                self._events,
                Streamed(EVENTS_TYPE, EVENT_VIEWS),
                takes=EventsQuery,
            ),
        ]

    def _list_doable(self) -> list[Endpoint]:
        return [
            post(
                "/api/v1/ask",
                'Ask the mesh; with "stream" the answer comes as one JSON object per line.',
                self._ask,
                Answer,
                Streamed(STREAM_TYPE, (Progress, Started, Delta, Finished)),
                takes=AskBody,
            ),
            post(
                "/api/v1/publish",
                "Share a note with the mesh.",
                self._publish,
                VertexInfo,
                takes=PublishBody,
            ),
            post(
                "/api/v1/invite",
                "A ticket that lets somebody join; it holds a secret.",
                self._invite,
                Ticket,
                takes=InviteBody,
            ),
            post(
                "/api/v1/join",
                "Leave a network without other members and join the ticket's.",
                self._join,
                NodeStatus,
                takes=JoinBody,
            ),
            post("/api/v1/shutdown", "Stop the node soon.", self._shutdown, Stopping),
        ]

    def _place(self, status: NodeStatus) -> NodeStatus:
        url = self._get_url()
        return replace(status, api=url.partition("://")[2], api_url=url)

    async def _status(self, _: web.Request, __: None) -> NodeStatus:
        return self._place(await self._host.get_node().status())

    async def _peers(self, _: web.Request, __: None) -> list[PeerInfo]:
        return await self._host.get_node().peers()

    async def _heads(self, _: web.Request, __: None) -> HeadsInfo:
        return await self._host.get_node().heads()

    async def _vertices(self, _: web.Request, query: VerticesQuery) -> list[VertexInfo]:
        return await self._host.get_node().vertices(
            limit=query.limit, kind=query.kind, author=query.author
        )

    async def _vertex(self, request: web.Request, _: None) -> VertexDetail:
        return await self._host.get_node().vertex(request.match_info["id"])

    async def _finality(self, request: web.Request, query: FinalityQuery) -> Finality:
        node, vertex_id = self._host.get_node(), request.match_info["id"]
        return await node.finality(vertex_id, wait_ms=query.wait_ms)

    async def _route(self, _: web.Request, query: RouteQuery) -> RouteInfo:
        return await self._host.get_node().route(query.prompt, model=query.model)

    async def _placements(self, _: web.Request, query: PlacementsQuery) -> list[PlacementInfo]:
        return await self._host.get_node().placements(limit=query.limit)

    async def _publish(self, _: web.Request, body: PublishBody) -> VertexInfo:
        return await self._host.get_node().publish(
            body.get_content(),
            title=body.title,
            media_type=body.media_type,
            knowledge=body.knowledge,
        )

    async def _invite(self, _: web.Request, body: InviteBody) -> Ticket:
        ticket = await self._host.get_node().invite(
            uses=body.uses,
            expires_in_ms=body.expires_in_ms,
            role=body.role,
            grant_uruv=body.grant_uruv,
        )
        return Ticket(ticket=ticket)

    async def _join(self, _: web.Request, body: JoinBody) -> NodeStatus:
        return self._place(await self._host.join(body.ticket))

    async def _shutdown(self, _: web.Request, __: None) -> Stopping:
        self._host.request_shutdown()
        return Stopping()

    async def _ask(self, request: web.Request, body: AskBody) -> Answer | web.StreamResponse:
        node, question, caller = self._host.get_node(), body.get_question(), get_caller(request)
        if body.max_price_uruv is not None and not (body.max_spend_uruv or caller.is_owner):
            raise InvalidRequest("a key's paid question needs max_spend_uruv, which bounds it")
        with self._limits.hold(caller, body.max_spend_uruv or 0) as hold:
            if not body.stream:
                answer = await node.ask(question, **body.get_options())
                hold.settle(get_cost_uruv(answer))
                return answer
            async with closing_items(node.stream(question, **body.get_options())) as items:
                return await _stream_answer(request, items, hold)

    async def _events(self, request: web.Request, query: EventsQuery) -> web.StreamResponse:
        after = read_position(request, query.after)
        events = self._host.get_node().events(after=after)
        return await answer_events(request, events, _encode_event)


def _encode_event(event: NodeEvent) -> bytes:
    index = event.commit_index if isinstance(event, VerticesOrdered) else None
    return encode_event(event.type, event.to_json(), position=index)


async def _stream_answer(
    request: web.Request, items: AsyncIterator[StreamItem], hold: Hold
) -> web.StreamResponse:
    """Answer item by item; the first comes before the status, so what fails at once has one."""
    first = await anext(items)
    response = await begin_stream(request, STREAM_TYPE)
    await response.write(_encode_line(first.to_json()))
    try:
        async for item in items:
            if isinstance(item, Finished):
                hold.settle(get_cost_uruv(item.answer))
            await response.write(_encode_line(item.to_json()))
    except MeshError as error:
        await response.write(_encode_line({"type": "error", **make_problem(error)}))
    await response.write_eof()
    return response


def _encode_line(data: dict[str, Any]) -> bytes:
    return msgspec.json.encode(data) + b"\n"
