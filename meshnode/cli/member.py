"""`meshnode member` and `meshnode invitation`: who takes part, and ending that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter

from meshnode.cli.decide import HOUR_MS, ClosesOption, ReasonOption, WaitOption, follow
from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count, format_id, format_name, format_time
from meshnode.cli.options import HomeOption, JsonOption, TimeoutOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.client import connect
from meshnode.errors import CommandRejected
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.member_views import InvitationInfo, MemberInfo
    from meshnode.views import VertexInfo

MEMBER_COLUMNS: Final = ("id", "name", "standing", "since commit", "invited by", "*notes")
INVITATION_COLUMNS: Final = ("key", "role", "used", "expires", "*notes")

MemberArgument = Annotated[str, Parameter(help="A member's name, id, or the beginning of it.")]
Standing = Literal["member", "newcomer", "waiting", "unconfirmed", "refused", "revoked", "expelled"]


async def list_(
    *,
    standing: Annotated[Standing | None, Parameter(help="Only these.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List who is a member by the order, and who is out."""
    async with connect(home) as node:
        found = await node.members(standing=standing)
    if json:
        print_json(make_list_document("members", found))
    elif found:
        print_table(MEMBER_COLUMNS, [_describe_row(member) for member in found])
    else:
        say("nobody")
    return OK


async def show(member: MemberArgument, *, home: HomeOption = None, json: JsonOption = False) -> int:
    """Show a member: how it came, and why it is out if it is."""
    async with connect(home) as node:
        found = await node.member(member)
    if json:
        print_json(found.to_json())
        return OK
    for line in describe_member(found):
        say(line)
    return OK


async def revoke(
    *,
    reason: ReasonOption = "",
    yes: Annotated[
        bool, Parameter(name="--yes", negative="", show_default=False, help="It is meant.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """End this node's own identity, for good: its keys were stolen, or it leaves."""
    if not yes:
        raise CommandRejected(
            "this cannot be undone: nobody will ever listen to this identity again",
            hint="say it with --yes; `meshnode identity new` and a new ticket come after it",
        )
    async with connect(home) as node:
        vertex = await node.revoke_identity(reason=reason)
    _print_said(vertex, "revoked", json=json)
    if not json:
        note(
            "it has effect once it is final: let the node run until `meshnode events` says so; "
            "a validator loses its seat by it too"
        )
    return OK


async def expel(
    member: MemberArgument,
    *,
    reason: Annotated[str, Parameter(name="--reason", help="Why; signed, for all to read.")],
    closes_h: ClosesOption = 168,
    vote: Annotated[
        bool, Parameter(negative="--no-vote", help="Answer yes at once, where this node may.")
    ] = True,
    wait: WaitOption = False,
    timeout_s: TimeoutOption = 60,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Ask the validators to expel a member; more than two thirds of the stake decide."""
    async with connect(home) as node:
        vertex = await node.expel(member, reason=reason, closes_in_ms=closes_h * HOUR_MS)
        if vote:
            try:
                await node.vote(vertex.id, "yes", reason=reason)
            except CommandRejected as error:
                note(f"not voted: {error.message}")
        if wait:
            return await follow(node, vertex.id, timeout_s=timeout_s, json=json)
    if json:
        print_json({"schema": "meshnode.proposed/1", "decision": vertex.id})
        return OK
    short = format_id(vertex.id)
    say(f"asked with {short}; validators answer with: meshnode decide vote {short} yes")
    say(f"follow with: meshnode decide show {short}")
    return OK


async def vouch(
    member: MemberArgument, *, home: HomeOption = None, json: JsonOption = False
) -> int:
    """Speak for a newcomer of an open network: it is a full member by that."""
    async with connect(home) as node:
        vertex = await node.vouch(member)
    _print_said(vertex, "vouched", json=json)
    return OK


async def list_invitations(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List the invitations that this node has issued, and who came with them."""
    async with connect(home) as node:
        found = await node.invitations()
    if json:
        print_json(make_list_document("invitations", found))
    elif found:
        print_table(INVITATION_COLUMNS, [_describe_invitation(item) for item in found])
    else:
        say("none was issued; `meshnode invite` makes one")
    return OK


async def revoke_invitation(
    key: Annotated[str, Parameter(help="Its key, or the beginning of it.")],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Take an invitation back: nobody comes in with it any more; who is in stays."""
    async with connect(home) as node:
        vertex = await node.revoke_invitation(key)
    _print_said(vertex, "revoked", json=json)
    return OK


def describe_member(member: MemberInfo) -> list[str]:
    """A member in lines."""
    name = format_name(member.name, member.author)
    lines = [f"{name} ({format_id(member.author, 16)}): {_describe_standing(member)}"]
    if member.inviter:
        inviter = format_name(member.inviter_name, member.inviter)
        lines.append(f"invited by {inviter} ({format_id(member.inviter)})")
    if member.cause:
        lines.append(f"by {format_id(member.cause, 12)}")
    if member.reason:
        lines.append(clean_line(f"because: {member.reason}", 500))
    return lines


def _describe_standing(member: MemberInfo) -> str:
    since = f" since commit {member.since}" if member.since else ""
    roles = [word for word, is_so in _list_roles(member) if is_so]
    return f"{member.standing}{since}{', ' + ', '.join(roles) if roles else ''}"


def _list_roles(member: MemberInfo) -> tuple[tuple[str, bool], ...]:
    return (
        ("founder", member.founder),
        ("validator", member.validator),
        ("connected", member.connected),
    )


def _describe_row(member: MemberInfo) -> tuple[str, ...]:
    notes = [word for word, is_so in _list_roles(member) if is_so]
    if member.until_ms is not None:
        notes.append(f"until {format_time(member.until_ms)}")
    if member.reason:
        notes.append(member.reason)
    return (
        format_id(member.author),
        format_name(member.name, member.author),
        member.standing,
        str(member.since) if member.since else "",
        format_name(member.inviter_name, member.inviter) if member.inviter else "",
        clean_line(", ".join(notes), 200),
    )


def _describe_invitation(item: InvitationInfo) -> tuple[str, ...]:
    used = format_count(len(item.used_by), "time")
    notes = "" if item.revoked_at is None else f"taken back by commit {item.revoked_at}"
    return (
        format_id(item.key),
        item.role,
        f"{used} of {item.uses}" if item.uses else used,
        "never" if item.expires_ms is None else format_time(item.expires_ms),
        notes,
    )


def _print_said(vertex: VertexInfo, what: str, *, json: bool) -> None:
    if json:
        print_json({"schema": f"meshnode.{what}/1", "vertex": vertex.id})
    else:
        say(f"said with vertex {format_id(vertex.id, 12)}; it has effect once it is final")
