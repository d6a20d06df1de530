"""`meshnode events`: what a node tells as it happens, and what was put in order before."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, assert_never

from cyclopts import Parameter, validators

from meshnode.cli.exits import OK
from meshnode.cli.formats import format_count, format_id, format_name, format_time
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, print_json_line, say
from meshnode.client import connect
from meshnode.event_views import (
    CommitteeChanged,
    EventsLost,
    ForkFound,
    MemberOut,
    NoPeers,
    OffenceCounted,
    OrderJoined,
    OrderStopped,
    PeerJoined,
    PeerLeft,
    PeerServing,
    RefusedByPeer,
    VertexRepeated,
    VertexSeen,
    VerticesOrdered,
)

if TYPE_CHECKING:
    from meshnode.event_views import NodeEvent

_IDS_SHOWN = 4
_LINE = 78


async def events(
    *,
    after: Annotated[
        int | None,
        Parameter(
            help="Begin behind this commit; 0 begins with the first.",
            validator=validators.Number(gte=0),
        ),
    ] = None,
    commits: Annotated[
        bool,
        Parameter(help="Only what was put in order.", negative="", show_default=False),
    ] = False,
    limit: Annotated[
        int | None,
        Parameter(help="End after so many lines.", validator=validators.Number(gte=1)),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> int:
    """Follow what happens, one line each, until Ctrl-C. Commits come in order, each once."""
    shown = 0
    try:
        async with connect(home) as node, aclosing(node.events(after=after)) as items:
            async for event in items:
                if not _is_wanted(event, commits=commits, json=json):
                    continue
                if json:
                    print_json_line(event.to_json())
                else:
                    say(clean_line(describe_event(event), _LINE))
                shown += 1
                if shown == limit:
                    break
    except asyncio.CancelledError:
        pass  # the person has seen enough
    return OK


def _is_wanted(event: NodeEvent, *, commits: bool, json: bool) -> bool:
    """Blocks only put in order what was said, and are many: programs get them, people do not."""
    if commits:
        return isinstance(event, VerticesOrdered | OrderJoined)
    return json or not (isinstance(event, VertexSeen) and event.vertex.kind == "block")


def describe_event(event: NodeEvent) -> str:
    """An event in one line."""
    match event:
        case VerticesOrdered():
            return _describe_commit(event)
        case VertexSeen(vertex=vertex):
            name = format_name(vertex.author_name, vertex.author, 12)
            return f"vertex {format_id(vertex.id)}: {vertex.kind} by {name}: {vertex.summary}"
        case PeerJoined():
            return f"peer {format_name(event.name, event.author)} is connected"
        case PeerLeft():
            return f"peer {format_id(event.author)} is gone: {event.reason}"
        case RefusedByPeer():
            return f"peer {format_id(event.peer, 16)} refuses this node: {event.reason}"
        case MemberOut():
            return event.reason
        case PeerServing():
            models = ", ".join(model.label or model.id for model in event.models)
            return f"peer {format_id(event.author)} serves {models or 'nothing'}"
        case ForkFound():
            return f"author {format_id(event.author)} contradicts itself at {event.seq}"
        case OffenceCounted():
            return f"offence {event.offence}: {event.detail}"
        case NoPeers():
            return "no member answers; `meshnode status` tells what was tried"
        case CommitteeChanged():
            return f"epoch {event.epoch} begins behind commit {event.commit_index}"
        case OrderStopped():
            return f"nothing is put in order any more: {event.reason}"
        case OrderJoined():
            return (
                f"commits up to {event.commit_index} are not held here: pruned, or older than "
                "its snapshot"
            )
        case VertexRepeated():
            again = format_id(event.again)
            return f"vertex {format_id(event.first)} came too late; said again as {again}"
        case EventsLost():
            return "some events were lost, because they came faster than they were read"
        case _:
            assert_never(event)


def _describe_commit(event: VerticesOrdered) -> str:
    ids = [format_id(vertex) for vertex in event.vertices[:_IDS_SHOWN]]
    more = [f"and {len(event.vertices) - len(ids)} more"] if len(event.vertices) > len(ids) else []
    what = format_count(len(event.vertices), "vertex", "vertices") if ids else "blocks only"
    listed = f": {' '.join((*ids, *more))}" if ids else ""
    # The first leader stands on no block that has a time.
    when = f" at {format_time(event.time_ms)[11:]}" if event.time_ms else ""
    return f"commit {event.commit_index}{when}, {what}{listed}"
