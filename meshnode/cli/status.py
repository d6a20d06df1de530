"""`meshnode status`: ten lines, of which the last ones are what is wrong and how to repair it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from market.decimals import format_ruv
from meshnode.cli.consensus import (
    describe_lag,
    describe_progress,
    describe_seats,
    describe_silent,
)
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import (
    UNKNOWN,
    format_count,
    format_duration,
    format_id,
    format_name,
    format_time,
)
from meshnode.cli.options import HomeOption, JsonOption, WatchOption
from meshnode.cli.output import (
    WIDTH_MAX,
    clean_line,
    describe_error,
    print_json,
    print_json_line,
    say,
)
from meshnode.cli.watching import show_or_watch
from meshnode.client import connect
from meshnode.errors import MeshError
from meshnode.gateway.port import NotReady

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshnode.client import RemoteNode
    from meshnode.sealing_views import SealingInfo
    from meshnode.views import (
        ConsensusInfo,
        ModelView,
        MoneyInfo,
        NodeStatus,
        PeerInfo,
    )

_LABEL = 11


async def status(
    *, home: HomeOption = None, json: JsonOption = False, watch: WatchOption = False
) -> int:
    """Show this node at a glance."""

    async def show() -> int:
        write_json = print_json_line if watch else print_json
        async with connect(home) as node:
            try:
                found = await node.status()
            except NotReady:
                return _show_phase(await node.startup(), write_json if json else None)
            if json:
                write_json(found.to_json())
            else:
                found, peers = await _read_peers(node, found)
                for line in describe_status(found, peers):
                    say(line)
            return FAILED if found.problems else OK

    return await show_or_watch(show, watch=watch)


async def _read_peers(node: RemoteNode, status: NodeStatus) -> tuple[NodeStatus, list[PeerInfo]]:
    """What the peers serve; that they cannot be asked for is a problem like any other."""
    try:
        return status, await node.peers()
    except MeshError as error:
        problem = f"peers: {describe_error(error.message, error.hint)}"
        return replace(status, problems=(*status.problems, problem)), []


def _show_phase(
    startup: Mapping[str, Any], write_json: Callable[[dict[str, Any]], None] | None
) -> int:
    """A node that is starting or stopping has no state yet, but a phase."""
    if write_json is not None:
        write_json({"schema": "meshnode.startup/1", **startup})
    else:
        elapsed = format_duration(startup.get("elapsed_ms"))
        detail = clean_line(str(startup.get("detail") or startup.get("phase")))
        say(f"not ready: {detail}, for {elapsed} so far")
    return FAILED


def describe_status(status: NodeStatus, peers: list[PeerInfo]) -> list[str]:
    """A node's state in eleven lines, and one more for each problem after the first."""
    lines = [
        _describe_verdict(status),
        _line("node", _describe_node(status)),
        _line("mesh", _describe_mesh(status)),
        _line("models", describe_models(status, peers)),
        _line("load", _describe_load(status)),
        _line("store", _describe_store(status)),
        *(_describe_order(status.consensus) if status.consensus else ()),
        *(_describe_sealing(status.sealing) if status.sealing else ()),
        *(_describe_money(status.money) if status.money else ()),
        *(_describe_unanswered(status) if status.unanswered else ()),
        _line("api", describe_api(status)),
    ]
    problems = [clean_line(problem) for problem in status.problems] or ["none"]
    label = "problems"
    for problem in problems:
        lines.append(_line(label, problem))
        label = ""
    return lines


def describe_models(status: NodeStatus, peers: list[PeerInfo]) -> str:
    """What can be asked, and where it runs."""
    places: dict[str, list[str]] = {}
    if status.engine is not None:
        for model in status.engine.models:
            places.setdefault(_name_model(model), []).append("here")
    for peer in peers:
        if peer.ready:
            for model in peer.models:
                name = format_name(peer.name, peer.author)
                places.setdefault(_name_model(model), []).append(name)
    parts = [f"{model} on {', '.join(where)}" for model, where in places.items()]
    return clean_line("; ".join(parts)) or "none: nobody serves a model"


def describe_api(status: NodeStatus) -> str:
    """Where the node answers, and where programs made for OpenAI's interface find it."""
    url = status.api_url or (f"http://{status.api}" if status.api else "")
    return f"{url}, for OpenAI clients {url}/v1" if url else UNKNOWN


def _describe_verdict(status: NodeStatus) -> str:
    if status.problems:
        return f"degraded: {format_count(len(status.problems), 'problem')}, see below"
    return "ok: this node takes part in its mesh"


def _describe_node(status: NodeStatus) -> str:
    parts = [
        f"{format_name(status.name, status.author)} ({format_id(status.author)})",
        f"version {status.version}",
        f"up {format_duration(status.uptime_ms)}",
        f"pid {status.pid}",
    ]
    if status.key_mode == "unencrypted-demo":
        parts.append("key stored unencrypted")
    return ", ".join(parts)


def _describe_mesh(status: NodeStatus) -> str:
    kind = " demo," if status.network_kind == "demo" else ""
    return (
        f"{clean_line(status.network_name, 32)} ({format_id(status.network)},{kind} "
        f"{status.suite}): {format_count(status.members, 'member')}, "
        f"{format_count(status.peers_ready, 'peer')} connected"
    )


def _describe_load(status: NodeStatus) -> str:
    engine = status.engine
    if engine is None:
        return "this node serves nothing itself"
    shared = "" if engine.shareable else ", for this node only"
    return (
        f"{engine.running} of {format_count(engine.slots, 'slot')} busy, "
        f"{engine.queued} waiting (engine {engine.name}{shared})"
    )


def _describe_store(status: NodeStatus) -> str:
    parts = [
        format_count(status.vertices, "vertex", "vertices"),
        f"{format_count(status.heads, 'head')} ({format_id(status.heads_digest)})",
        f"share {status.share}",
    ]
    if status.consensus is not None and status.consensus.pruned_lamport:
        parts.append(f"pruned up to lamport {status.consensus.pruned_lamport}")
    if status.quarantined:
        parts.append(f"{status.quarantined} waiting for ancestors")
    if status.forks:
        parts.append(format_count(status.forks, "forked author"))
    return ", ".join(parts)


def _describe_sealing(sealing: SealingInfo) -> list[str]:
    key = "no key that a library here can use" if sealing.key is None else f"key {sealing.key[:8]}"
    parts = [
        f"{key}, made {format_time(sealing.made_ms)}",
        f"{sealing.asked} asked and {sealing.answered} answered",
        *([f"{sealing.refused} refused"] if sealing.refused else []),
    ]
    return [_line("sealed", ", ".join(parts))]


def _describe_money(money: MoneyInfo) -> list[str]:
    parts = [
        f"{format_ruv(money.free_uruv)} ruv free",
        f"{format_ruv(money.locked_uruv)} locked",
        format_count(money.open_orders, "open order"),
        format_count(money.live_contracts, "live contract"),
    ]
    return [_line("money", ", ".join(parts))]


def _describe_unanswered(status: NodeStatus) -> list[str]:
    waiting = format_count(status.unanswered, "question waits", "questions wait")
    return [_line("decide", f"{waiting} for an answer; `meshnode decide list --status open`")]


def _describe_order(found: ConsensusInfo) -> list[str]:
    silent = describe_silent(found)
    return [
        _line("order", f"{describe_progress(found)}; {describe_lag(found)}"),
        _line("committee", clean_line(f"{describe_seats(found)}; {silent}", WIDTH_MAX - _LABEL)),
    ]


def _name_model(model: ModelView) -> str:
    return f"{model.label or model.id} ({model.engine})"


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"
