"""Decisions over HTTP: questions put to the mesh, answers to them, changes of the committee.

    GET  /api/v1/decisions?status=open, /api/v1/decisions/{id}?wait_ms=
    POST /api/v1/decisions, /api/v1/decisions/{id}/vote, /api/v1/committee

Whoever posts gets the vertex that says so; what comes of it is known once it is final.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshnode.decision_views import DecisionInfo
from meshnode.gateway.bodies import (
    CommitteeBody,
    DecisionQuery,
    DecisionsQuery,
    ProposeBody,
    VoteBody,
)
from meshnode.gateway.endpoints import Endpoint, Listed, get, post
from meshnode.views import VertexInfo

if TYPE_CHECKING:
    from aiohttp import web

    from meshnode.gateway.port import NodeHost


class DecisionsApi:
    """The handlers of what the mesh decides."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        one = "/api/v1/decisions/{id}"
        endpoints = [
            get(
                "/api/v1/decisions",
                "What the mesh is asked and has decided, newest first.",
                self._list,
                Listed("decisions", DecisionInfo),
                takes=DecisionsQuery,
            ),
            post(
                "/api/v1/decisions",
                "Put a question to the mesh.",
                self._propose,
                VertexInfo,
                takes=ProposeBody,
            ),
            get(
                one,
                "One question; waits for its end where told to.",
                self._show,
                DecisionInfo,
                takes=DecisionQuery,
            ),
            post(f"{one}/vote", "Answer a question.", self._vote, VertexInfo, takes=VoteBody),
            post(
                "/api/v1/committee",
                "Ask the validators for another committee.",
                self._propose_committee,
                VertexInfo,
                takes=CommitteeBody,
            ),
        ]
        return [replace(endpoint, tag="decisions") for endpoint in endpoints]

    async def _list(self, _: web.Request, query: DecisionsQuery) -> list[DecisionInfo]:
        return await self._host.get_node().decisions(status=query.status)

    async def _show(self, request: web.Request, query: DecisionQuery) -> DecisionInfo:
        return await self._host.get_node().decision(request.match_info["id"], wait_ms=query.wait_ms)

    async def _propose(self, _: web.Request, body: ProposeBody) -> VertexInfo:
        return await self._host.get_node().propose(
            body.question,
            options=body.options,
            closes_in_ms=body.closes_in_ms,
            electorate=body.electorate,
            threshold=body.threshold,
        )

    async def _propose_committee(self, _: web.Request, body: CommitteeBody) -> VertexInfo:
        return await self._host.get_node().propose_committee(
            body.stakes,
            profile=body.profile,
            gc_commits=body.gc_commits,
            question=body.question,
            closes_in_ms=body.closes_in_ms,
        )

    async def _vote(self, request: web.Request, body: VoteBody) -> VertexInfo:
        return await self._host.get_node().vote(
            request.match_info["id"], body.option, reason=body.reason
        )
