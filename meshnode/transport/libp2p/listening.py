"""The ports a node listens on, and dialling from them.

A router maps a port of this machine to one of its own. Whoever is to be let in at the mapping of the
listening port must have been called from that port, so some connections are dialled from it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from meshnode.errors import TransportError

if TYPE_CHECKING:
    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.addresses import TcpAddress

_SHARE_OPTION: Final = getattr(socket, "SO_REUSEPORT", None)


class ListenPorts:
    """What one node listens on."""

    def __init__(self, addresses: Sequence[TcpAddress]) -> None:
        self._addresses = addresses
        self._listeners: list[trio.SocketListener] = []
        self._is_shared = False

    async def open(self, peer: PeerId) -> tuple[list[trio.SocketListener], tuple[str, ...]]:
        """Listen; answers where that can be dialled. Raises `TransportError`."""
        dialable: list[str] = []
        for address in self._addresses:
            try:
                # Without SO_REUSEPORT: a second node on the port fails instead of sharing it.
                opened = await trio.open_tcp_listeners(address.port, host=address.host)
            except OSError as error:
                await self.close()
                raise TransportError(
                    f"cannot listen on {address.host} port {address.port}: {error.strerror}",
                    hint="is another node running? choose another port, or 0",
                ) from error
            self._listeners += opened
            dialable.append(address.dialable(opened[0].socket.getsockname()[1], peer))
        return self._listeners, tuple(dialable)

    async def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            await listener.aclose()

    def share(self) -> None:
        """Let this node dial from its listening ports from now on, where the system can.

        The option is set on sockets that listen already. That opens the port to sockets of the same
        user that ask for it, such as this node's own, and to nobody else: a second node that wants to
        listen there still fails.
        """
        if _SHARE_OPTION is None:
            return
        for listener in self._listeners:
            listener.socket.setsockopt(socket.SOL_SOCKET, _SHARE_OPTION, 1)
        self._is_shared = True

    def find_port(self, family: socket.AddressFamily) -> int | None:
        """The first port listened on in a family of addresses."""
        listener = self._find(family)
        return None if listener is None else int(listener.getsockname()[1])

    async def connect(self, host: str, port: int) -> trio.SocketStream:
        """Dial an IP address from the port listened on. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = self._find(family)
        if listening is None or not self._is_shared or _SHARE_OPTION is None:
            raise OSError("no port that this node listens on can be dialled from")
        dialling = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            dialling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            dialling.setsockopt(socket.SOL_SOCKET, _SHARE_OPTION, 1)
            await dialling.bind(listening.getsockname())
            await dialling.connect((host, port))
        except BaseException:
            dialling.close()
            raise
        return trio.SocketStream(dialling)

    def _find(self, family: socket.AddressFamily) -> trio.socket.SocketType | None:
        for listener in self._listeners:
            if listener.socket.family == family:
                return listener.socket
        return None
