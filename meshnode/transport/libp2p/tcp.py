"""A TCP connection in the shape libp2p's Noise and Yamux read it, with exact buffered reads.

The library's own stream issues one system call per length prefix and gives up on a message that
arrives in more than a hundred segments. This one reads what the kernel has and answers `read(n)`
with exactly n bytes, or fewer only at the end of the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError

if TYPE_CHECKING:
    from multiaddr import Multiaddr

RECEIVE_BYTES = 65_536


class TcpConnection(IRawConnection):
    """An unencrypted connection; `is_initiator` says who dialled, `counters` counts its bytes."""

    def __init__(
        self,
        stream: trio.SocketStream,
        *,
        is_initiator: bool,
        counters: dict[str, int],
    ) -> None:
        self.is_initiator = is_initiator
        self._stream = stream
        self._buffer = bytearray()
        self._counters = counters
        host, port = stream.socket.getpeername()[:2]
        self._remote = (str(host), int(port))

    async def read(self, n: int | None = None) -> bytes:
        """Exactly n bytes, fewer at the end; without n, whatever is there."""
        wanted = 1 if n is None else n
        while len(self._buffer) < wanted:
            try:
                chunk = await self._stream.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise ConnectionClosedError("the TCP connection broke") from error
            if not chunk:
                break
            self._counters["bytes_received"] += len(chunk)
            self._buffer += chunk
        size = len(self._buffer) if n is None else n
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def write(self, data: bytes) -> None:
        """All of the bytes."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError("the TCP connection broke") from error
        self._counters["bytes_sent"] += len(data)

    def cut(self) -> None:
        """Close the socket; whoever waits on it gets an error. Harmless when it is closed."""
        self._stream.socket.close()

    async def close(self) -> None:
        """Close the socket."""
        self.cut()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Address of the other end."""
        return self._remote

    def get_transport_addresses(self) -> list[Multiaddr]:
        """None: peers learn addresses from signed records, not from sockets."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """A direct connection."""
        return ConnectionType.DIRECT

    @property
    def remote_host(self) -> str:
        """IP address of the other end."""
        return self._remote[0]

    @property
    def remote_multiaddr(self) -> str:
        """Address of the other end as text."""
        host, port = self._remote
        return f"/{'ip6' if ':' in host else 'ip4'}/{host}/tcp/{port}"
