"""What is shown of members and of the invitations by which they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from meshnode.views import View

EXPEL_IN_MS: Final = 7 * 24 * 3_600_000
"""How long the question whether to expel a member is open unless told otherwise."""
STANDINGS: Final = (
    "member",
    "newcomer",
    "waiting",
    "unconfirmed",
    "refused",
    "revoked",
    "expelled",
)
"""'unconfirmed': known here, and not in the order yet. The others as in the roll of members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo(View):
    """An author and its place among the members, by the order."""

    schema: ClassVar[str] = "meshnode.member/1"

    author: str
    name: str
    standing: str
    """member, newcomer, waiting, unconfirmed, refused, revoked or expelled."""
    since: int = 0
    """The commit by which it has this standing; 0 for founders, and who is not in the order."""
    founder: bool = False
    validator: bool = False
    connected: bool = False
    inviter: str | None = None
    inviter_name: str = ""
    until_ms: int | None = None
    """When the probation of a newcomer ends."""
    cause: str | None = None
    """The vertex or the decision by which it is no member any more."""
    reason: str = ""
    """Why it is no member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitationInfo(View):
    """An invitation that this node issued."""

    schema: ClassVar[str] = "meshnode.invitation/1"

    key: str
    """Its public name; who holds the ticket proves the secret that belongs to it."""
    role: str
    uses: int
    """How many may join with it; 0 where that is not remembered any more."""
    used_by: tuple[str, ...]
    """Authors that came with it, by the order or by this node's own book."""
    expires_ms: int | None = None
    """None for never."""
    revoked_at: int | None = None
    """The commit by which it was taken back."""
