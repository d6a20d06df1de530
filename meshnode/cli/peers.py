"""`meshnode peers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.cli.exits import OK
from meshnode.cli.formats import UNKNOWN, format_duration, format_id, format_name
from meshnode.cli.options import HomeOption, JsonOption, WatchOption
from meshnode.cli.output import print_json, print_json_line, print_table, say
from meshnode.cli.watching import show_or_watch
from meshnode.client import connect
from meshnode.views import make_list_document

if TYPE_CHECKING:
    from meshnode.views import PeerInfo

COLUMNS = ("name", "id", "state", ">rtt", "*models", ">load", "address")


async def peers(
    *, home: HomeOption = None, json: JsonOption = False, watch: WatchOption = False
) -> int:
    """List the other members of the mesh."""

    async def show() -> int:
        async with connect(home) as node:
            found = await node.peers()
        if json:
            (print_json_line if watch else print_json)(make_list_document("peers", found))
        elif found:
            print_table(COLUMNS, [describe_peer(peer) for peer in found])
        else:
            say("no other members yet; `meshnode invite` prints a ticket for one")
        return OK

    return await show_or_watch(show, watch=watch)


def describe_peer(peer: PeerInfo) -> tuple[str, ...]:
    """A member as a row of the table."""
    state = "leaving" if peer.draining else "connected" if peer.ready else "away"
    models = ", ".join(model.label or model.id for model in peer.models)
    return (
        format_name(peer.name, peer.author, 14),
        format_id(peer.author),
        state,
        format_duration(peer.rtt_ms) if peer.ready else "-",
        models or ("none" if peer.ready else UNKNOWN),
        _describe_load(peer),
        shorten_address(peer.addresses[0]) if peer.addresses else UNKNOWN,
    )


def shorten_address(multiaddr: str) -> str:
    """'/ip4/10.0.0.7/tcp/4001' as '10.0.0.7:4001'; other forms as they are."""
    parts = multiaddr.split("/")
    if len(parts) >= 5 and parts[1] in {"ip4", "ip6"} and parts[3] == "tcp":
        host = f"[{parts[2]}]" if parts[1] == "ip6" else parts[2]
        return f"{host}:{parts[4]}"
    return multiaddr


def _describe_load(peer: PeerInfo) -> str:
    if peer.slots is None or not peer.ready:
        return UNKNOWN
    if not peer.slots:
        return "-"
    busy = UNKNOWN if peer.running is None else str(peer.running)
    waiting = f"+{peer.queued}" if peer.queued else ""
    return f"{busy}{waiting}/{peer.slots}"
