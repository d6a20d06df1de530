"""`meshnode decide`: questions put to the mesh, and answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from cyclopts import Parameter, validators

from meshnode.cli.decision_text import (
    LIST_COLUMNS,
    describe_decision,
    describe_in_row,
    describe_state,
    read_now_ms,
)
from meshnode.cli.down import read_clock_s
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_id
from meshnode.cli.options import HomeOption, JsonOption, TimeoutOption
from meshnode.cli.output import clean_line, note, print_json, print_table, say
from meshnode.client import connect
from meshnode.errors import DeadlineExceeded
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.client import RemoteNode
    from meshnode.decision_views import DecisionInfo
    from meshnode.views import VertexInfo

HOUR_MS: Final = 3_600_000
_WAIT_MAX_MS: Final = 60_000

ClosesOption = Annotated[
    int,
    Parameter(
        name="--closes-h",
        help="Hours until it expires.",
        validator=validators.Number(gte=1, lte=2_160),
    ),
]
ReasonOption = Annotated[
    str, Parameter(name="--reason", show_default=False, help="Why; signed, for all to read.")
]
WaitOption = Annotated[
    bool,
    Parameter(
        name="--wait", negative="", show_default=False, help="Return when it has been decided."
    ),
]
DecisionArgument = Annotated[str, Parameter(help="Its id, or the beginning of it.")]


async def propose(
    question: Annotated[str, Parameter(help="What to decide.")],
    *,
    option: Annotated[
        tuple[str, ...],
        Parameter(
            help="An answer to choose from; may be repeated [default: yes and no].",
            negative="",
            show_default=False,
        ),
    ] = (),
    electorate: Annotated[
        Literal["members", "stake"],
        Parameter(help="Every member has one vote, or validators decide by their stake."),
    ] = "members",
    threshold: Annotated[
        str, Parameter(help="An answer wins with more than this part of all votes.")
    ] = "1/2",
    closes_h: ClosesOption = 24,
    wait: WaitOption = False,
    timeout_s: TimeoutOption = 60,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Put a question to the mesh."""
    async with connect(home) as node:
        vertex = await node.propose(
            question,
            options=option or ("yes", "no"),
            closes_in_ms=closes_h * HOUR_MS,
            electorate=electorate,
            threshold=threshold,
        )
        if wait:
            note(describe_question(vertex))
            return await follow(node, vertex.id, timeout_s=timeout_s, json=json)
    if json:
        print_json({"schema": "meshnode.proposed/1", "decision": vertex.id})
    else:
        say(describe_question(vertex))
        say(f"answer with: meshnode decide vote {format_id(vertex.id)} ANSWER --reason WHY")
        say(f"follow with: meshnode decide show {format_id(vertex.id)}")
    return OK


async def vote(
    decision: DecisionArgument,
    answer: Annotated[str, Parameter(help="The answer, the beginning of it, or its number.")],
    *,
    reason: ReasonOption = "",
    wait: WaitOption = False,
    timeout_s: TimeoutOption = 60,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Answer a question; the last answer before it closes counts."""
    async with connect(home) as node:
        ballot = await node.vote(decision, answer, reason=reason)
        if wait:
            return await follow(node, decision, timeout_s=timeout_s, json=json)
    if json:
        print_json({"schema": "meshnode.ballot/1", "ballot": ballot.id})
    else:
        say(f"answered with vertex {format_id(ballot.id, 12)}; it counts once it is final")
        say(f"follow with: meshnode decide show {clean_line(decision, 16)}")
    return OK


async def show(
    decision: DecisionArgument,
    *,
    wait: WaitOption = False,
    timeout_s: TimeoutOption = 60,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show a question, its answers and their reasons."""
    async with connect(home) as node:
        if wait:
            return await follow(node, decision, timeout_s=timeout_s, json=json)
        print_decision(await node.decision(decision), json=json)
    return OK


async def list_(
    *,
    status: Annotated[
        Literal["open", "passed", "failed", "expired", "invalid", "rejected"] | None,
        Parameter(help="Only these."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List what the mesh is asked and has decided, newest first."""
    async with connect(home) as node:
        found = await node.decisions(status=status)
    if json:
        print_json(make_list_document("decisions", found))
    elif found:
        now_ms = read_now_ms()
        print_table(LIST_COLUMNS, [describe_in_row(decision, now_ms) for decision in found])
    else:
        say('nothing was asked yet; `meshnode decide propose "QUESTION"` asks')
    return OK


def describe_question(vertex: VertexInfo) -> str:
    """What was asked, in one line."""
    return clean_line(f"{format_id(vertex.id)} {vertex.author_name} {vertex.summary}")


def print_decision(decision: DecisionInfo, *, json: bool) -> None:
    """A decision as people or programs read it."""
    if json:
        print_json(decision.to_json())
        return
    for line in describe_decision(decision, read_now_ms()):
        say(line)


async def follow(node: RemoteNode, decision_id: str, *, timeout_s: int, json: bool) -> int:
    """Wait until a question is decided and show it; the exit code says whether it passed."""
    found = await wait_closed(node, decision_id, timeout_s=timeout_s)
    print_decision(found, json=json)
    return OK if found.status == "passed" else FAILED


async def wait_closed(node: RemoteNode, decision_id: str, *, timeout_s: int) -> DecisionInfo:
    """A decision once it is closed. Raises `DeadlineExceeded`."""
    end_s = read_clock_s() + timeout_s
    while True:
        left_ms = max(0, int((end_s - read_clock_s()) * 1_000))
        found = await node.decision(decision_id, wait_ms=min(left_ms, _WAIT_MAX_MS))
        if found.status != "open":
            return found
        if not left_ms:
            raise DeadlineExceeded(
                f"not decided after {timeout_s} s: {describe_state(found, read_now_ms())}",
                hint=f"`meshnode decide show {decision_id[:8]}` tells when it is",
            )
