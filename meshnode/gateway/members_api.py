"""Members over HTTP: who is in, who is out, and taking invitations and identities back.

    GET  /api/v1/members?standing=, /api/v1/members/{author}, /api/v1/invitations
    POST /api/v1/members/{author}/expel | vouch, /api/v1/identity/revoke,
         /api/v1/invitations/{key}/revoke

Whoever posts gets the vertex that says so; what comes of it is known once it is final.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshnode.gateway.bodies import ExpelBody, MembersQuery, RevokeIdentityBody
from meshnode.gateway.endpoints import Endpoint, Listed, get, post
from meshnode.member_views import InvitationInfo, MemberInfo
from meshnode.views import VertexInfo

if TYPE_CHECKING:
    from aiohttp import web

    from meshnode.gateway.port import NodeHost


class MembersApi:
    """The handlers of who takes part."""

    def __init__(self, host: NodeHost) -> None:
        self._host = host

    def make_endpoints(self) -> list[Endpoint]:
        """Every path."""
        one = "/api/v1/members/{author}"
        endpoints = [
            get(
                "/api/v1/members",
                "Everybody known, and whether it is a member by the order.",
                self._list,
                Listed("members", MemberInfo),
                takes=MembersQuery,
            ),
            get(one, "One member.", self._show, MemberInfo),
            post(
                f"{one}/expel",
                "Ask the validators to expel a member.",
                self._expel,
                VertexInfo,
                takes=ExpelBody,
            ),
            post(f"{one}/vouch", "Speak for a newcomer.", self._vouch, VertexInfo),
            post(
                "/api/v1/identity/revoke",
                "End this node's own identity, for good.",
                self._revoke_identity,
                VertexInfo,
                takes=RevokeIdentityBody,
            ),
            get(
                "/api/v1/invitations",
                "What this node has issued, and taken back.",
                self._list_invitations,
                Listed("invitations", InvitationInfo),
            ),
            post(
                "/api/v1/invitations/{key}/revoke",
                "Take an invitation back.",
                self._revoke_invitation,
                VertexInfo,
            ),
        ]
        return [replace(endpoint, tag="members") for endpoint in endpoints]

    async def _list(self, _: web.Request, query: MembersQuery) -> list[MemberInfo]:
        return await self._host.get_node().members(standing=query.standing)

    async def _show(self, request: web.Request, _: object) -> MemberInfo:
        return await self._host.get_node().member(request.match_info["author"])

    async def _expel(self, request: web.Request, body: ExpelBody) -> VertexInfo:
        return await self._host.get_node().expel(
            request.match_info["author"], reason=body.reason, closes_in_ms=body.closes_in_ms
        )

    async def _vouch(self, request: web.Request, _: object) -> VertexInfo:
        return await self._host.get_node().vouch(request.match_info["author"])

    async def _revoke_identity(self, _: web.Request, body: RevokeIdentityBody) -> VertexInfo:
        return await self._host.get_node().revoke_identity(reason=body.reason)

    async def _list_invitations(self, _: web.Request, __: object) -> list[InvitationInfo]:
        return await self._host.get_node().invitations()

    async def _revoke_invitation(self, request: web.Request, _: object) -> VertexInfo:
        return await self._host.get_node().revoke_invitation(request.match_info["key"])
