"""`meshnode validators`: who agrees on the order, and changing that by a vote."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Parameter, validators

from meshnode.cli.consensus import COLUMNS, describe_validator
from meshnode.cli.decide import (
    HOUR_MS,
    ClosesOption,
    ReasonOption,
    WaitOption,
    print_decision,
    wait_closed,
)
from meshnode.cli.decision_text import (
    describe_committee,
    describe_in_row,
    describe_risk,
    name_stakes,
    read_now_ms,
)
from meshnode.cli.down import read_clock_s
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_id, format_name
from meshnode.cli.options import HomeOption, JsonOption, TimeoutOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.client import connect
from meshnode.errors import CommandRejected, DeadlineExceeded

if TYPE_CHECKING:
    from meshnode.client import RemoteNode
    from meshnode.decision_views import DecisionInfo
    from meshnode.views import ConsensusInfo, NodeStatus

_POLL_S: Final = 0.2
_STAKE_MAX: Final = 2**63 - 1
_GC_COMMITS_MAX: Final = 1_000_000

MemberArgument = Annotated[str, Parameter(help="A member's name, id, or the beginning of it.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ChangeOptions:
    """Options of every command that proposes a change."""

    profile: Annotated[
        Literal["bft3", "bft5", "cft"] | None,
        Parameter(
            help="Also change the profile: bft3 bears liars, cft crashes only, bft5 is faster."
        ),
    ] = None
    reason: ReasonOption = ""
    closes_h: ClosesOption = 168
    vote: Annotated[
        bool,
        Parameter(negative="--no-vote", help="Answer yes at once, where this node may."),
    ] = True
    wait: WaitOption = False
    timeout_s: TimeoutOption = 60
    home: HomeOption = None
    json: JsonOption = False


DEFAULTS: Final = ChangeOptions()


async def list_(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """List the validators, and the changes that are being voted on."""
    async with connect(home) as node:
        order = _get_order(await node.status())
        changes = [one for one in await node.decisions(status="open") if one.change is not None]
    if json:
        print_json(make_document(order, changes))
        return OK
    say(describe_committee(order))
    print_table(COLUMNS, [describe_validator(each) for each in order.validators])
    risk = describe_risk(name_stakes(order), order.profile)
    if risk:
        note(f"note: {risk}")
    if changes:
        say()
        now_ms = read_now_ms()
        columns = ("change", "state", "*question", "leading", "closes")
        print_table(columns, [describe_in_row(change, now_ms) for change in changes])
    return OK


async def add(
    member: MemberArgument,
    *,
    stake: Annotated[
        int | None,
        Parameter(
            help="Its stake [default: the smallest of the committee]; also re-weighs a validator.",
            validator=validators.Number(gte=1, lte=_STAKE_MAX),
        ),
    ] = None,
    options: ChangeOptions = DEFAULTS,
) -> int:
    """Propose a member as a validator, or other stake for one."""
    async with connect(options.home) as node:
        order = _get_order(await node.status())
        weight = stake or min(validator.stake for validator in order.validators)
        return await _change(node, options, {member: weight})


async def remove(member: MemberArgument, *, options: ChangeOptions = DEFAULTS) -> int:
    """Propose to take a validator's seat away; it stays a member."""
    async with connect(options.home) as node:
        return await _change(node, options, {member: 0})


async def change(
    *,
    gc_commits: Annotated[
        int | None,
        Parameter(
            help="Commits after which what no block names is left out for good.",
            validator=validators.Number(gte=1, lte=_GC_COMMITS_MAX),
        ),
    ] = None,
    options: ChangeOptions = DEFAULTS,
) -> int:
    """Propose other rules for the committee as it is."""
    async with connect(options.home) as node:
        return await _change(node, options, {}, gc_commits=gc_commits)


# --- proposing a change ----------------------------------------------------------------------------


async def _change(
    node: RemoteNode,
    options: ChangeOptions,
    stakes: dict[str, int],
    *,
    gc_commits: int | None = None,
) -> int:
    """Propose, vote, say what happens next, and wait where that is asked for."""
    status = await node.status()
    order = _get_order(status)
    vertex = await node.propose_committee(
        stakes,
        profile=options.profile,
        gc_commits=gc_commits,
        closes_in_ms=options.closes_h * HOUR_MS,
    )
    has_seat = any(validator.author == status.author for validator in order.validators)
    votes = options.vote and has_seat
    if votes:
        await node.vote(vertex.id, "yes", reason=options.reason)
    tell = note if options.json or options.wait else say
    tell(f"proposed {format_id(vertex.id)}: {clean_line(vertex.summary.removeprefix('asks: '))}")
    for line in describe_next(order, vertex.id, votes=votes):
        tell(line)
    profile = options.profile or order.profile
    risk = describe_risk(await _name_next_stakes(node, order, vertex.id), profile)
    if risk:
        note(f"warning: {risk}")
    if options.wait:
        return await _wait(node, order.epoch, vertex.id, options)
    if options.json:
        print_json({"schema": "meshnode.proposed/1", "decision": vertex.id, "voted": votes})
    return OK


def describe_next(order: ConsensusInfo, decision: str, *, votes: bool) -> list[str]:
    """What happens next, and how to follow it."""
    short = format_id(decision)
    others = len(order.validators) - votes
    part = "a half" if order.profile == "cft" else "two thirds"
    own = "this node votes yes; " if votes else ""
    if others == 0:
        return [f"{own}as the only validator it decides alone"]
    return [
        f"{own}more than {part} of the validators' stake decide, each with",
        f"  meshnode decide vote {short} yes",
        f"follow with: meshnode decide show {short}, meshnode validators list",
    ]


async def _name_next_stakes(
    node: RemoteNode, order: ConsensusInfo, decision: str
) -> dict[str, int]:
    """Names and stakes of the committee that a proposal asks for, from its own words."""
    body = (await node.vertex(decision)).body or {}
    stakes = {validator.author: validator.stake for validator in order.validators}
    for item in (body.get("action") or {}).get("stakes", ()):
        stakes[item["author"]] = item["stake"]
    names = {validator.author: validator.name for validator in order.validators}
    names.update((peer.author, peer.name) for peer in await node.peers())
    return {
        f"{format_name(names.get(author, ''), author)} ({format_id(author)})": stake
        for author, stake in stakes.items()
        if stake
    }


async def _wait(node: RemoteNode, epoch: int, decision_id: str, options: ChangeOptions) -> int:
    """Until the change is decided, and the new committee is at work if it passed."""
    end_s = read_clock_s() + options.timeout_s
    decision = await wait_closed(node, decision_id, timeout_s=options.timeout_s)
    if decision.status != "passed":
        print_decision(decision, json=options.json)
        return FAILED
    while (order := _get_order(await node.status())).epoch <= epoch:
        if read_clock_s() > end_s:
            raise DeadlineExceeded(
                f"it has passed, and epoch {epoch + 1} has not begun after {options.timeout_s} s",
                hint="`meshnode consensus status` shows who is silent",
            )
        await asyncio.sleep(_POLL_S)
    if options.json:
        print_json(make_document(order, []))
    else:
        say(f"passed: {describe_committee(order)}")
    return OK


# --- the committee ---------------------------------------------------------------------------------


def make_document(order: ConsensusInfo, changes: list[DecisionInfo]) -> dict[str, Any]:
    """The committee for programs."""
    return {
        "schema": "meshnode.validators/1",
        "epoch": order.epoch,
        "profile": order.profile,
        "stake": sum(validator.stake for validator in order.validators),
        "validators": [validator.to_json() for validator in order.validators],
        "changes": [change.to_json() for change in changes],
    }


def _get_order(status: NodeStatus) -> ConsensusInfo:
    if status.consensus is None:
        raise CommandRejected(
            "the running node is of a version that agrees on no order",
            hint="`meshnode down` and `meshnode up` start it anew",
        )
    return status.consensus
