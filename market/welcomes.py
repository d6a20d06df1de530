"""Money that invitations promise: moved from who invited to who came, once its profile is ordered.

Intake lets a first profile in only with an invitation that is signed by a member whose own profile
the newcomer's stands on, so that is not verified again here. A first profile that came too late to
be ordered is said again by a later one, of which intake checks no invitation; that one proves it by
itself, by the inviter's keys that it carries. Keys that a node happens to know would not do: whoever
was never put out is known to some nodes and unknown to others, and all have to answer alike.

What intake cannot know is counted: how often an invitation was used, in the order of commits, and
that nobody is welcomed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from dag.authors import is_first_profile
from dag.bodies import (
    INVITATION_DECODER,
    PROFILE_DECODER,
    SIGNED_INVITATION_DECODER,
    Invitation,
)
from dag.errors import InvalidMessage
from dag.introduction import read_proven
from dag.types import Kind, Ref
from dag.vertex import SignedVertex, Vertex
from market.accounts import Ledger
from market.errors import Code, Refused
from market.events import Event, Trail
from market.genesis import MarketGenesis
from market.tables import Table


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an account was given as it came."""

    inviter: bytes = b""
    bearer_key: bytes = b""
    """Names the invitation among those of its inviter."""
    amount: int = 0
    """0 for who came and was given nothing, and so will never be given anything."""


class Welcomes:
    """Everybody who came, and what it was given."""

    def __init__(
        self,
        genesis: MarketGenesis,
        ledger: Ledger,
        trail: Trail,
        rows: Table[Welcome] | None = None,
    ) -> None:
        self.rows: Final[Table[Welcome]] = Table() if rows is None else rows
        """By account."""
        self._genesis: Final = genesis
        self._founders: Final = frozenset(genesis.founders)
        """Intake asks founders for no invitation, so it has checked none that they show."""
        self._ledger = ledger
        self._trail = trail
        self._uses: dict[tuple[bytes, bytes], int] = {}
        for row in self.rows.rows():
            if row.amount:
                self._count(row)

    def take(self, vertices: Sequence[SignedVertex], time_ms: int) -> None:
        """Welcome the newcomers of a commit, causes before what they led to."""
        profiles = [
            signed
            for signed in vertices
            if signed.vertex.kind == Kind.PROFILE and signed.vertex.author not in self._founders
        ]
        for signed in sorted(profiles, key=_get_ref):
            account, is_first = signed.vertex.author, is_first_profile(signed.vertex)
            if is_first:
                invitation = _read_invitation(signed.vertex.body)
            elif account in self.rows:
                continue  # it has only changed what it says of itself
            else:
                invitation = self._read_proven(signed.vertex)
            if invitation is not None and invitation.grant_uruv:
                self._welcome(signed, invitation, time_ms)
            if account not in self.rows and (is_first or invitation is not None):
                self.rows.put(account, Welcome())

    def _read_proven(self, vertex: Vertex) -> Invitation | None:
        try:
            suite, network = self._genesis.suite, self._genesis.network
            return read_proven(suite, network, vertex.author, vertex.body)
        except InvalidMessage:
            return None

    def _welcome(self, signed: SignedVertex, invitation: Invitation, time_ms: int) -> None:
        account, amount = signed.vertex.author, invitation.grant_uruv
        try:
            self._give(account, invitation, time_ms)
        except Refused as refusal:
            for each in (account, invitation.inviter):
                self._trail.refuse(each, signed.id, str(refusal.reason), amount)
        else:
            self._trail.note(Event("sent", invitation.inviter, signed.id, amount, "welcome"))
            self._trail.note(Event("received", account, signed.id, amount, "welcome"))

    def _give(self, account: bytes, invitation: Invitation, time_ms: int) -> None:
        if account in self.rows:
            raise Refused(Code.ALREADY_DONE, "the account was welcomed")
        if 0 < invitation.expires_ms <= time_ms:
            raise Refused(Code.INVITATION_EXPIRED, "the invitation has expired")
        row = Welcome(invitation.inviter, invitation.bearer_key, invitation.grant_uruv)
        if self._uses.get((row.inviter, row.bearer_key), 0) >= invitation.uses:
            raise Refused(Code.INVITATION_USED_UP, "the invitation is used up")
        self._ledger.transfer(row.inviter, account, row.amount)
        self.rows.put(account, row)
        self._count(row)

    def _count(self, row: Welcome) -> None:
        name = (row.inviter, row.bearer_key)
        self._uses[name] = self._uses.get(name, 0) + 1


def _read_invitation(body: bytes) -> Invitation | None:
    """What a profile was let in with; None where there is nothing to read."""
    try:
        encoded = PROFILE_DECODER.decode(body).invitation
        if not encoded:
            return None
        return INVITATION_DECODER.decode(SIGNED_INVITATION_DECODER.decode(encoded).invitation)
    except InvalidMessage:
        return None


def _get_ref(signed: SignedVertex) -> Ref:
    return signed.ref
