"""Members of the mesh: who is in, who is out and why; taking invitations and identities back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from consensus.errors import InvalidDecision
from consensus.expulsions import check_expulsion
from dag.bodies import (
    INVITATION_DECODER,
    SIGNED_INVITATION_DECODER,
    ExpulsionBody,
    IdentityRevocation,
    InvitationRevocation,
    Vouching,
)
from dag.canonical import encode
from dag.types import Kind
from meshnode.errors import CommandRejected
from meshnode.member_views import STANDINGS, InvitationInfo, MemberInfo
from meshnode.node.presenting import name_author, show_vertex
from meshnode.public_text import check_public_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consensus.member_records import MemberRecord
    from consensus.roll import Roll
    from dag.bodies import MembershipBody
    from meshnode.invitations import InvitationBook
    from meshnode.node.lookup import Lookup
    from meshnode.shell.runtime import Runtime
    from meshnode.views import VertexInfo


class MemberDesk:
    """What a running node says and shows of members and invitations."""

    def __init__(self, runtime: Runtime, lookup: Lookup, book: InvitationBook) -> None:
        self._runtime = runtime
        self._lookup = lookup
        self._book = book

    @property
    def _roll(self) -> Roll:
        return self._runtime.roll

    # --- members --------------------------------------------------------------------------------

    def list_members(self, standing: str | None) -> list[MemberInfo]:
        """Everybody known, founders first, then as they came. Raises `CommandRejected`."""
        if standing is not None and standing not in STANDINGS:
            raise CommandRejected(
                f"'{standing}' is no standing of a member", hint=f"one of {', '.join(STANDINGS)}"
            )
        view, names = self._runtime.view(), self._lookup.list_names()
        connected = dict.fromkeys(peer.author for peer in view.peers)
        seats = dict.fromkeys(seat.author for seat in view.consensus.validators)
        founders = dict.fromkeys(member.id for member in view.members if member.founder)
        known = dict.fromkeys((*(record.author for record in self._roll.list_records()), *names))
        shown = [
            _show_member(
                author,
                self._roll.get(author),
                names,
                founder=author in founders,
                validator=author in seats,
                connected=author in connected or author == self._runtime.author,
            )
            for author in known
        ]
        return [one for one in shown if standing is None or one.standing == standing]

    def show(self, text: str) -> MemberInfo:
        """One member, by its name, its id or the beginning of it. Raises `CommandRejected`."""
        author = self._lookup.find_author(text).hex()
        return next(one for one in self.list_members(None) if one.author == author)

    async def revoke_identity(self, reason: str) -> VertexInfo:
        """End this node's own identity, for good. Raises `CommandRejected`."""
        own = self._runtime.author
        seats = [seat.author for seat in self._runtime.view().consensus.validators]
        if own in seats and all(seat == own or self._roll.is_gone(seat) for seat in seats):
            raise CommandRejected(
                "this node is the only validator: without it nothing would be decided any more",
                hint="`meshnode validators add MEMBER` gives somebody else a seat first",
            )
        check_public_text("the reason", reason)
        return await self._say(IdentityRevocation(reason))

    async def expel(self, text: str, reason: str, closes_in_ms: int) -> VertexInfo:
        """Ask the validators to expel a member. Raises `CommandRejected`."""
        author = self._lookup.find_author(text)
        body = ExpulsionBody(author, reason, self._runtime.now_ms() + closes_in_ms)
        check_public_text("the reason", reason)
        try:
            check_expulsion(body)
            self._roll.check_expulsion(author)
        except InvalidDecision as error:
            raise CommandRejected(error.message, hint="`meshnode member list`") from None
        self._refuse_twice(author)
        signed = await self._runtime.publish(Kind.DECISION, encode(body))
        return show_vertex(signed, self._lookup.list_names())

    def _refuse_twice(self, author: bytes) -> None:
        for record in self._runtime.decisions.list_proposals():
            if record.status == "open" and record.expels == author:
                short = record.id.hex()[:8]
                raise CommandRejected(
                    f"decision {short} asks for this already",
                    hint=f"answer it with `meshnode decide vote {short} yes`",
                )

    async def vouch(self, text: str) -> VertexInfo:
        """Speak for a newcomer of an open network. Raises `CommandRejected`."""
        author = self._lookup.find_author(text)
        record = self._roll.get(author)
        if record is None or record.standing not in {"newcomer", "waiting"}:
            raise CommandRejected(
                "this is no newcomer on probation", hint="`meshnode member list` shows who is"
            )
        return await self._say(Vouching(author))

    # --- invitations ----------------------------------------------------------------------------

    def list_invitations(self) -> list[InvitationInfo]:
        """What this node issued and remembers, oldest first, then what it has taken back."""
        own = self._runtime.author
        revoked = {
            item.bearer_key: item.since for item in self._roll.revoked if item.inviter == own
        }
        used: dict[bytes, list[bytes]] = {}
        for record in self._roll.list_records():
            if record.inviter == own and record.standing != "refused":
                used.setdefault(record.bearer_key, []).append(record.author)
        shown = []
        for item in self._book.issued:
            signed = SIGNED_INVITATION_DECODER.decode(item.signed)
            users = dict.fromkeys((*used.get(item.bearer_key, ()), *item.used_by))
            shown.append(
                InvitationInfo(
                    key=item.bearer_key.hex(),
                    role=INVITATION_DECODER.decode(signed.invitation).role,
                    uses=item.uses,
                    used_by=tuple(author.hex() for author in users),
                    expires_ms=item.expires_ms or None,
                    revoked_at=revoked.pop(item.bearer_key, None),
                )
            )
        for key, since in revoked.items():
            users = dict.fromkeys(used.get(key, ()))
            shown.append(
                InvitationInfo(
                    key=key.hex(),
                    role="",
                    uses=0,
                    used_by=tuple(author.hex() for author in users),
                    revoked_at=since,
                )
            )
        return shown

    async def revoke_invitation(self, text: str) -> VertexInfo:
        """Take an invitation back, by its key or the beginning of it. Raises `CommandRejected`.

        This node lets nobody in with it from now on; every node does, from the commit on that puts
        this in order.
        """
        found = [
            one for one in self.list_invitations() if text and one.key.startswith(text.lower())
        ]
        if len(found) != 1:
            problem = f"'{text[:80]}' means {len(found)} invitations" if found else "no such one"
            raise CommandRejected(problem, hint="`meshnode invitation list` lists them")
        if found[0].revoked_at is not None:
            raise CommandRejected(f"it was taken back by commit {found[0].revoked_at}")
        key = bytes.fromhex(found[0].key)
        signed = await self._say(InvitationRevocation(key))
        await asyncio.to_thread(self._book.forget, key)
        return signed

    async def _say(self, body: MembershipBody) -> VertexInfo:
        signed = await self._runtime.publish(Kind.MEMBERSHIP, encode(body))
        return show_vertex(signed, self._lookup.list_names())


def _show_member(
    author: bytes,
    record: MemberRecord | None,
    names: Mapping[bytes, str],
    *,
    founder: bool,
    validator: bool,
    connected: bool,
) -> MemberInfo:
    inviter = b"" if record is None else record.inviter
    return MemberInfo(
        author=author.hex(),
        name=name_author(author, names),
        standing="unconfirmed" if record is None else record.standing,
        since=0 if record is None else record.since,
        founder=founder,
        validator=validator,
        connected=connected,
        inviter=inviter.hex() or None,
        inviter_name=name_author(inviter, names) if inviter else "",
        until_ms=None if record is None else record.until_ms or None,
        cause=None if record is None else record.cause.hex() or None,
        reason="" if record is None else record.reason,
    )
