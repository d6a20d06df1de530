"""Members and invitations in the blocking form of a node: the same methods, the same arguments.

`meshnode.node.member_methods.MemberMethods` says what each does and takes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshnode.member_views import InvitationInfo, MemberInfo
    from meshnode.views import VertexInfo


class SyncMembers(ABC):
    """Who is in, who is out, and by what."""

    @abstractmethod
    def _call(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the node and wait for what it answers."""

    def members(self, *, standing: str | None = None) -> list[MemberInfo]:
        """Everybody known and its standing by the order; optionally those of one standing."""
        found: list[MemberInfo] = self._call("members", standing=standing)
        return found

    def member(self, author: str) -> MemberInfo:
        """One member, by its name, its id or the beginning of it."""
        found: MemberInfo = self._call("member", author)
        return found

    def expel(self, author: str, **options: Any) -> VertexInfo:
        """Ask the validators to expel a member; the vertex is a decision to be voted on."""
        vertex: VertexInfo = self._call("expel", author, **options)
        return vertex

    def vouch(self, author: str) -> VertexInfo:
        """Speak for a newcomer of an open network: it is a member by that."""
        vertex: VertexInfo = self._call("vouch", author)
        return vertex

    def revoke_identity(self, *, reason: str = "") -> VertexInfo:
        """End this node's own identity, for good: its keys were stolen, or it leaves."""
        vertex: VertexInfo = self._call("revoke_identity", reason=reason)
        return vertex

    def invite(self, **options: Any) -> str:
        """A ticket for somebody else."""
        ticket: str = self._call("invite", **options)
        return ticket

    def invitations(self) -> list[InvitationInfo]:
        """What this node has issued, and taken back."""
        found: list[InvitationInfo] = self._call("invitations")
        return found

    def revoke_invitation(self, key: str) -> VertexInfo:
        """Take an invitation back, by its key or the beginning of it."""
        vertex: VertexInfo = self._call("revoke_invitation", key)
        return vertex
