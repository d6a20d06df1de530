"""Members of a node in another process: the part of `RemoteNode` that is about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from meshnode.errors import MalformedMessage
from meshnode.member_views import EXPEL_IN_MS, InvitationInfo, MemberInfo
from meshnode.views import VertexInfo, read_list_document

if TYPE_CHECKING:
    from collections.abc import Mapping


class RemoteMembers(ABC):
    """Who is in, who is out, and by what."""

    @abstractmethod
    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, wait_ms: int = 0
    ) -> object:
        """The JSON that a path answers, which may take `wait_ms` longer than usual."""

    @abstractmethod
    async def _post(self, path: str, body: dict[str, Any]) -> object:
        """The JSON that a path answers to a body."""

    async def members(self, *, standing: str | None = None) -> list[MemberInfo]:
        """Everybody known and its standing by the order; optionally those of one standing."""
        query = None if standing is None else {"standing": standing}
        return read_list_document("members", MemberInfo, await self._get("/api/v1/members", query))

    async def member(self, author: str) -> MemberInfo:
        """One member, by its name, its id or the beginning of it."""
        return MemberInfo.from_json(await self._get(_make_path("members", author)))

    async def expel(
        self, author: str, *, reason: str, closes_in_ms: int = EXPEL_IN_MS
    ) -> VertexInfo:
        """Ask the validators to expel a member; the vertex is a decision to be voted on."""
        body = {"reason": reason, "closes_in_ms": closes_in_ms}
        path = f"{_make_path('members', author)}/expel"
        return VertexInfo.from_json(await self._post(path, body))

    async def vouch(self, author: str) -> VertexInfo:
        """Speak for a newcomer of an open network: it is a member by that."""
        path = f"{_make_path('members', author)}/vouch"
        return VertexInfo.from_json(await self._post(path, {}))

    async def revoke_identity(self, *, reason: str = "") -> VertexInfo:
        """End this node's own identity, for good: its keys were stolen, or it leaves."""
        return VertexInfo.from_json(await self._post("/api/v1/identity/revoke", {"reason": reason}))

    async def invitations(self) -> list[InvitationInfo]:
        """What this node has issued, and taken back."""
        data = await self._get("/api/v1/invitations")
        return read_list_document("invitations", InvitationInfo, data)

    async def revoke_invitation(self, key: str) -> VertexInfo:
        """Take an invitation back, by its key or the beginning of it."""
        path = f"{_make_path('invitations', key)}/revoke"
        return VertexInfo.from_json(await self._post(path, {}))


def _make_path(noun: str, name: str) -> str:
    if not name or len(name) > 256:
        raise MalformedMessage(f"{name[:80]!r} names nobody", hint="give a name or hex digits")
    return f"/api/v1/{noun}/{quote(name, safe='')}"
