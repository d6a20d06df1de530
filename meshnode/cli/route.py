"""`meshnode route`: where a question would go and why, and where questions went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.formats import UNKNOWN, format_duration, format_id, format_name, format_time
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, print_json, print_table, say
from meshnode.client import connect
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.route_views import PlacementInfo, RouteCandidate, RouteInfo

COLUMNS: Final = (
    "",
    "name",
    "model",
    ">cost",
    ">rtt",
    ">prefill",
    ">decode",
    ">penalty",
    ">cached",
    ">load",
)
PLACEMENT_COLUMNS: Final = ("time", "as", "requester", "owner", "*model", "", "*reason")


async def explain(
    prompt: Annotated[str, Parameter(help="The question; its length and beginning count.")] = "",
    *,
    model: Annotated[str, Parameter(help="A model's id, or auto.")] = "auto",
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Show whom a question would go to, what that costs there, and why not to others."""
    async with connect(home) as node:
        found = await node.route(prompt, model=model)
    if json:
        print_json(found.to_json())
        return OK
    eligible = [each for each in found.candidates if each.eligible]
    if eligible:
        print_table(COLUMNS, [describe_candidate(each) for each in eligible])
    for each in found.candidates:
        if note := describe_obstacle(each):
            say(f"{clean_line(each.name)}: {note}")
    say(describe_route(found))
    return OK


async def log(
    *,
    limit: Annotated[
        int, Parameter(help="How many.", validator=validators.Number(gte=1, lte=1_000))
    ] = 20,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """List what this node decided on letting engines answer questions, the newest first."""
    async with connect(home) as node:
        found = await node.placements(limit=limit)
    if json:
        print_json(make_list_document("placements", found))
    elif found:
        print_table(PLACEMENT_COLUMNS, [describe_placement(each) for each in found])
    else:
        say("no question was placed yet")
    return OK


def describe_route(route: RouteInfo) -> str:
    """The decision in one line."""
    chosen = next((each for each in route.candidates if each.chosen), None)
    if chosen is not None:
        return f"goes to {clean_line(chosen.name)}: {route.reason.replace('_', ' ')}"
    if not route.candidates:
        return "goes nowhere: no peer is connected, and this node has no engine"
    wait = f"; again in {format_duration(route.retry_after_ms)}" if route.retry_after_ms else ""
    return f"goes nowhere: {route.reason.replace('_', ' ')}{wait}"


def describe_candidate(candidate: RouteCandidate) -> tuple[str, ...]:
    """A replica that can answer as a row of the table."""
    times = (candidate.cost_us, candidate.rtt_us, candidate.prefill_us, candidate.decode_us)
    return (
        "->" if candidate.chosen else "",
        format_name(candidate.name, candidate.author, 14),
        candidate.model,
        *(format_duration(each // 1_000) for each in times),
        format_duration(candidate.penalty_us // 1_000) if candidate.penalty_us else "-",
        str(candidate.cached_tokens),
        f"{candidate.requests}/{candidate.slots}",
    )


def describe_obstacle(candidate: RouteCandidate) -> str:
    """What speaks against a replica; empty where nothing does."""
    if candidate.eligible:
        return "suspect, asked only when nobody else is left" if candidate.suspect else ""
    return f"left out, {clean_line(candidate.detail)}"


def describe_placement(placement: PlacementInfo) -> tuple[str, ...]:
    """A row of the record."""
    return (
        format_time(placement.time_ms),
        placement.role,
        format_id(placement.requester),
        format_id(placement.owner) if placement.owner else UNKNOWN,
        placement.model or UNKNOWN,
        "allowed" if placement.allowed else "refused",
        clean_line(placement.reason),
    )
