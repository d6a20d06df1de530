"""What an application can ask a node about members and invitations: a part of `NodeHandle`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from meshnode.member_views import EXPEL_IN_MS

if TYPE_CHECKING:
    from meshnode.member_views import InvitationInfo, MemberInfo
    from meshnode.node.members import MemberDesk
    from meshnode.views import VertexInfo


class MemberMethods(ABC):
    """Who is in, who is out, and by what."""

    @abstractmethod
    def _get_members(self) -> MemberDesk:
        """The node's desk. Raises `NodeClosed`."""

    async def members(self, *, standing: str | None = None) -> list[MemberInfo]:
        """Everybody known and its standing by the order; optionally those of one standing."""
        return self._get_members().list_members(standing)

    async def member(self, author: str) -> MemberInfo:
        """One member, by its name, its id or the beginning of it."""
        return self._get_members().show(author)

    async def expel(
        self, author: str, *, reason: str, closes_in_ms: int = EXPEL_IN_MS
    ) -> VertexInfo:
        """Ask the validators to expel a member; the vertex is a decision to be voted on."""
        return await self._get_members().expel(author, reason, closes_in_ms)

    async def vouch(self, author: str) -> VertexInfo:
        """Speak for a newcomer of an open network: it is a member by that."""
        return await self._get_members().vouch(author)

    async def revoke_identity(self, *, reason: str = "") -> VertexInfo:
        """End this node's own identity, for good: its keys were stolen, or it leaves."""
        return await self._get_members().revoke_identity(reason)

    async def invitations(self) -> list[InvitationInfo]:
        """What this node has issued, and taken back."""
        return self._get_members().list_invitations()

    async def revoke_invitation(self, key: str) -> VertexInfo:
        """Take an invitation back, by its key or the beginning of it."""
        return await self._get_members().revoke_invitation(key)
