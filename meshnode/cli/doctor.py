"""`meshnode doctor`: what works on this machine, what does not and how to repair it, what is unknown."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from meshnode.cli.checks import Check, check_home, check_key, check_python, check_settings
from meshnode.cli.consensus import describe_lag, describe_progress, describe_silent
from meshnode.cli.doctor_discovery import check_ways_offline, check_ways_running
from meshnode.cli.exits import FAILED, OK
from meshnode.cli.formats import format_count, format_duration, format_name, format_time
from meshnode.cli.options import HomeOption, JsonOption
from meshnode.cli.output import clean_line, describe_error, print_json, say
from meshnode.cli.peers import shorten_address
from meshnode.cli.probes import probe_address, probe_api_port
from meshnode.client import connect
from meshnode.config import NodeConfig
from meshnode.config_file import locate_home
from meshnode.errors import MeshError, NoDaemon
from meshnode.gateway.port import NotReady

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.client import RemoteNode
    from meshnode.views import ConsensusInfo, NodeStatus, PeerInfo

_MARKS = {"ok": "ok", "fail": "no", "unknown": "?", "info": "-"}
_ADDRESSES_MAX = 8
"""Addresses of absent members that are tried."""


async def doctor(*, home: HomeOption = None, json: JsonOption = False) -> int:
    """Check this machine and its node."""
    checks = await run_checks(home)
    broken = [check for check in checks if check.state == "fail"]
    if json:
        documents = [check.to_json() for check in checks]
        print_json({"schema": "meshnode.doctor/1", "ok": not broken, "checks": documents})
    else:
        for check in checks:
            say(f"{_MARKS[check.state]:<3} {check.name:<11} {clean_line(check.detail)}")
            if check.fix:
                say(f"{'':<15} {clean_line(check.fix)}")
        say(f"{format_count(len(broken), 'problem')} found" if broken else "nothing is broken")
    return FAILED if broken else OK


async def run_checks(home: Path | None) -> list[Check]:
    """Every check, those of this machine first, those of the mesh last."""
    path = locate_home(home, os.environ)
    settings, config = check_settings(home)
    checks = [*check_python(), settings, check_home(path), check_key(path)]
    try:
        node = connect(path)
    except NoDaemon:
        detail = "none runs for this home folder; `meshnode up` starts one"
        checks.append(Check("node", "info", detail))
        checks.append(await probe_api_port(config or NodeConfig()))
        checks += await check_ways_offline(path, config or NodeConfig())
        return [*checks, Check("peers", "unknown", "only a running node knows")]
    except MeshError as error:
        return [*checks, Check("node", "fail", error.message, error.hint)]
    async with node:
        return [*checks, *await _check_node(node, path)]


async def _check_node(node: RemoteNode, path: Path) -> list[Check]:
    where = f"pid {node.pid}, at {node.api}, since {format_time(node.since_ms)}"
    try:
        status = await node.status()
        peers = await node.peers()
    except NotReady as error:
        elapsed = format_duration((await node.startup()).get("elapsed_ms"))
        return [Check("node", "info", f"{where}: {error.message}, for {elapsed} so far")]
    except MeshError as error:
        return [Check("node", "fail", f"{where}: {describe_error(error.message, error.hint)}")]
    return [
        Check("node", "ok", f"{where}, version {status.version}"),
        _check_engine(status),
        *([] if status.consensus is None else [_check_order(status.consensus)]),
        *[Check("problem", "fail", problem) for problem in status.problems],
        _check_offences(status),
        *await check_ways_running(path, status),
        *await _check_peers(peers),
    ]


def _check_engine(status: NodeStatus) -> Check:
    engine = status.engine
    if engine is None:
        return Check("engine", "info", "this node serves nothing itself")
    names = [model.label or model.id for model in engine.models]
    return Check("engine", "ok", f"{engine.name} with {', '.join(names) or 'no model'}")


def _check_order(order: ConsensusInfo) -> Check:
    """Who is silent is worth knowing, and broken only where nothing goes on: a problem then."""
    detail = f"{describe_progress(order)}; {describe_lag(order)}; {describe_silent(order)}"
    if order.halted:
        fix = "the evidence is in the DAG: `meshnode dag log --kind evidence`"
        return Check("order", "fail", detail, fix)
    missed = any(validator.silent for validator in order.validators)
    return Check("order", "info" if missed else "ok", detail)


def _check_offences(status: NodeStatus) -> Check:
    if not status.offences:
        return Check("offences", "ok", "no peer broke a rule")
    parts = [f"{name} {count}" for name, count in sorted(status.offences.items())]
    return Check("offences", "info", f"refused from peers: {', '.join(parts)}")


async def _check_peers(peers: list[PeerInfo]) -> list[Check]:
    if not peers:
        detail = "no other members yet; `meshnode invite` prints a ticket for one"
        return [Check("peers", "info", detail)]
    ready = [peer for peer in peers if peer.ready]
    checks = [Check("peers", "ok" if ready else "fail", f"{len(ready)} of {len(peers)} connected")]
    if not ready:
        checks[0] = Check(
            "peers",
            "fail",
            f"none of {format_count(len(peers), 'member')} is connected",
            "see the addresses below: is the other node up, and is its port open?",
        )
    absent = [(peer, address) for peer in peers if not peer.ready for address in peer.addresses][
        :_ADDRESSES_MAX
    ]
    results = await asyncio.gather(*(probe_address(address) for _, address in absent))
    for (peer, address), result in zip(absent, results, strict=True):
        name = format_name(peer.name, peer.author)
        detail = f"{name} at {shorten_address(address)}: {result}"
        checks.append(Check("address", "info", detail))
    return checks
