"""Decisions over HTTP: questions put to the mesh, answers to them, changes of the committee.

    GET  /api/v1/decisions?status=open, /api/v1/decisions/{id}?wait_ms=
    POST /api/v1/decisions, /api/v1/decisions/{id}/vote, /api/v1/committee

Whoever posts gets the vertex that says so; what comes of it is known once it is final.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from meshnode.gateway.bodies import (
    CommitteeBody,
    DecisionQuery,
    DecisionsQuery,
    ProposeBody,
    VoteBody,
    read_body,
    read_query,
)
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.gateway.port import NodeHost


class DecisionsApi:
    """The handlers of what the mesh decides."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_routes(self) -> list[web.RouteDef]:
        """Every path and its handler."""
        return [
            web.get("/api/v1/decisions", self._list),
            web.post("/api/v1/decisions", self._propose),
            web.get("/api/v1/decisions/{id}", self._show),
            web.post("/api/v1/decisions/{id}/vote", self._vote),
            web.post("/api/v1/committee", self._propose_committee),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        query = read_query(request, DecisionsQuery)
        found = await self._host.get_node().decisions(status=query.status)
        return web.json_response(make_list_document("decisions", found))

    async def _show(self, request: web.Request) -> web.Response:
        query = read_query(request, DecisionQuery)
        found = await self._host.get_node().decision(
            request.match_info["id"], wait_ms=query.wait_ms
        )
        return web.json_response(found.to_json())

    async def _propose(self, request: web.Request) -> web.Response:
        body = await read_body(request, ProposeBody)
        vertex = await self._host.get_node().propose(
            body.question,
            options=body.options,
            closes_in_ms=body.closes_in_ms,
            electorate=body.electorate,
            threshold=body.threshold,
        )
        return web.json_response(vertex.to_json())

    async def _propose_committee(self, request: web.Request) -> web.Response:
        body = await read_body(request, CommitteeBody)
        vertex = await self._host.get_node().propose_committee(
            body.stakes,
            profile=body.profile,
            gc_commits=body.gc_commits,
            question=body.question,
            closes_in_ms=body.closes_in_ms,
        )
        return web.json_response(vertex.to_json())

    async def _vote(self, request: web.Request) -> web.Response:
        body = await read_body(request, VoteBody)
        vertex = await self._host.get_node().vote(
            request.match_info["id"], body.option, reason=body.reason
        )
        return web.json_response(vertex.to_json())
