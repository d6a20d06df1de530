"""The checks of `meshnode doctor` that open sockets."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Final

from meshnode.cli.checks import Check
from meshnode.config import API_DEFAULT, parse_api_address

if TYPE_CHECKING:
    from meshnode.config import NodeConfig

TIMEOUT_S: Final = 2.0


async def probe_address(multiaddr: str) -> str:
    """What a connection attempt to a member's address shows, in words."""
    parts = multiaddr.split("/")
    if len(parts) < 5 or parts[1] not in {"ip4", "ip6", "dns", "dns4"} or parts[3] != "tcp":
        return "?, not an address that can be tried from here"
    if not parts[4].isdecimal():
        return "?, without a port"
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(parts[2], int(parts[4]))
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:.0f} s (a firewall?)"
    except OSError as error:
        return _describe(error)
    writer.close()
    return "something listens there"


async def probe_api_port(config: NodeConfig) -> Check:
    """Whether the port of the local HTTP interface is free."""
    api = config.api or API_DEFAULT
    host, port = parse_api_address(api)
    if port == 0:
        return Check("port", "ok", "any free one")
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Check("port", "unknown", f"{api}: {_describe(error)}")
        if config.api is None:
            return Check("port", "info", f"{api} is in use, so the node will take another")
        return Check(
            "port",
            "fail",
            f"{api} is in use by another program or another home's node",
            "stop that, or start this node with --api 127.0.0.1:0",
        )
    server.close()
    await server.wait_closed()
    return Check("port", "ok", f"{api} is free")


def _describe(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused, so no node listens there"
    if isinstance(error, socket.gaierror):
        return "?, the name is not known"
    return f"?, {error.strerror or type(error).__name__}".lower()
