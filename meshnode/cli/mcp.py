"""`meshnode mcp`: the running node as a tool server for programs that host models."""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from market.decimals import parse_ruv
from meshnode.cli.exits import OK
from meshnode.cli.options import HomeOption
from meshnode.client import connect
from meshnode.config_file import locate_home
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from meshnode.client import RemoteNode


async def serve(
    *,
    max_ruv: Annotated[
        str,
        Parameter(
            name="--max-ruv",
            help="Ruv that this session may spend in all [default: none, only free questions].",
            show_default=False,
        ),
    ] = "0",
    home: HomeOption = None,
) -> int:
    """Speak the Model Context Protocol on stdin and stdout until the other side ends."""
    if find_spec("mcp") is None:
        raise ConfigError(
            "the Model Context Protocol is not installed", hint='pip install "meshnode[mcp]"'
        )
    limit_uruv = parse_ruv(max_ruv, "--max-ruv") if max_ruv != "0" else 0
    async with connect(home) as node:
        await _serve(node, limit_uruv, locate_home(home, os.environ))
    return OK


async def _serve(node: RemoteNode, limit_uruv: int, home: Path) -> None:
    server, stdio_server = await asyncio.to_thread(_load)
    from meshnode.gateway.mcp_purse import SessionPurse
    from meshnode.gateway.mcp_reports import make_usage_reader
    from meshnode.gateway.mcp_tools import Context

    context = Context(node=node, purse=SessionPurse(limit_uruv), read_usage=make_usage_reader(home))
    made = server.make_server(lambda _: context)
    async with stdio_server() as (reading, writing):
        await made.run(reading, writing, made.create_initialization_options())


def _load() -> tuple[Any, Any]:
    """The protocol's library, which takes a second to import."""
    from mcp.server.stdio import stdio_server

    from meshnode.gateway import mcp_server

    return mcp_server, stdio_server
