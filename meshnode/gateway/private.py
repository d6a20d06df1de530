"""The HTTP interface of a node inside an application, opened when something needs an address.

It listens on a free port of this machine, with a token of its own, until the node is closed.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from meshnode.errors import CommandRejected
from meshnode.gateway.app import BACKLOG, Gateway
from meshnode.gateway.port import Phase

if TYPE_CHECKING:
    from meshnode.gateway.port import MeshNode
    from meshnode.node.measuring import Readings
    from meshnode.views import NodeStatus

_HOST = "127.0.0.1"


class PrivateGateway:
    """Listens from its making to `close`; made inside the node's event loop."""

    def __init__(self, node: MeshNode) -> None:
        # The port is taken here and now; connections wait in it until the first turn of the loop.
        self._socket = socket.create_server((_HOST, 0), backlog=BACKLOG)
        port = self._socket.getsockname()[1]
        self._gateway = Gateway(_ApplicationHost(node), api=f"{_HOST}:{port}")
        self._starting = asyncio.create_task(
            self._gateway.start(self._socket), name="private gateway"
        )

    @property
    def url(self) -> str:
        """Where its paths begin."""
        return self._gateway.url

    @property
    def token(self) -> str:
        """What its clients prove themselves with."""
        return self._gateway.token.reveal()

    async def close(self) -> None:
        """Stop listening."""
        await asyncio.wait([self._starting])
        await self._gateway.close()
        self._socket.close()


class _ApplicationHost:
    """The process around the node is the application, which decides on its life itself."""

    def __init__(self, node: MeshNode) -> None:
        self._node = node

    @property
    def phase(self) -> Phase:
        """A node can be used from when it is opened."""
        return Phase(name="ready", detail="ready", elapsed_ms=0)

    def get_node(self) -> MeshNode:
        """The node."""
        return self._node

    def read_meters(self) -> Readings | None:
        """Nothing: an application measures its node itself."""
        return None

    async def join(self, ticket: str) -> NodeStatus:  # noqa: ARG002 - the port's signature
        """Refused."""
        raise CommandRejected(
            "this node belongs to an application", hint="open it with the ticket: open_node()"
        )

    def request_shutdown(self) -> None:
        """Refused."""
        raise CommandRejected(
            "this node belongs to an application", hint="the application closes it"
        )
