"""A Yamux stream as plain bytes in both directions: what a relayed connection is made of.

The library's own write waits for the peer's window by polling, gives up after five seconds and then
has sent a part; its read opens the window in small steps. Here a write begins when the window takes
its piece whole, and nothing that was begun is cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError, IOException
from libp2p.stream_muxer.exceptions import MuxedStreamError

from meshnode.transport.libp2p.muxer import WindowedReader, reset_stream

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream
    from multiaddr import Multiaddr

    from meshnode.transport.base import PeerId
    from meshnode.transport.libp2p.muxer import GuardedConnection

PIECE_BYTES: Final = 16_384
CREDIT_BYTES: Final = 256 * 1024
"""What the other side may send before it is read here."""


class StreamBytes:
    """One stream; one task reads and one writes. `release` when both are done with it."""

    def __init__(self, stream: YamuxStream, guard: GuardedConnection) -> None:
        self._stream = stream
        self._guard = guard
        self._reader = WindowedReader(stream, CREDIT_BYTES)
        self._reading: trio.CancelScope | None = None
        self._window = trio.Event()
        self._ended = False
        guard.window_listeners[stream.stream_id] = self._on_window

    def _on_window(self) -> None:
        self._window.set()

    async def read(self, size_max: int) -> bytes:
        """The next bytes, none at the end. Raises `ConnectionClosedError` once it was cut."""
        if self._ended:
            raise ConnectionClosedError("the stream was cut")
        with trio.CancelScope() as scope:
            self._reading = scope
            try:
                return await self._reader.read(size_max)
            except (MuxedStreamError, IOException):
                return b""
            finally:
                self._reading = None
        raise ConnectionClosedError("the stream was cut")

    async def write(self, data: bytes) -> None:
        """All of the bytes. Raises `ConnectionClosedError`."""
        for start in range(0, len(data), PIECE_BYTES):
            await self._write_piece(data[start : start + PIECE_BYTES])

    async def _write_piece(self, piece: bytes) -> None:
        while self._stream.send_window < len(piece) and not self._ended:
            self._window = trio.Event()
            await self._window.wait()
        if self._ended:
            raise ConnectionClosedError("the stream was cut")
        try:
            await self._stream.write(piece)
        except (MuxedStreamError, IOException) as error:
            raise ConnectionClosedError("the stream ended") from error

    def cut(self) -> None:
        """Whoever reads or writes gets an error. Harmless twice."""
        self._ended = True
        self._window.set()
        if self._reading is not None:
            self._reading.cancel()

    async def release(self) -> None:
        """Reset the stream, and let go of it."""
        self.cut()
        self._guard.window_listeners.pop(self._stream.stream_id, None)
        with trio.CancelScope(shield=True), suppress(MuxedStreamError, IOException):
            await reset_stream(self._stream)


class RelayedConnection(IRawConnection):
    """A connection through a relay, in the shape libp2p's Noise and Yamux read it."""

    def __init__(
        self,
        stream: StreamBytes,
        *,
        is_initiator: bool,
        relay: PeerId,
        relay_address: str,
        relay_host: str,
        seen_host: str | None,
    ) -> None:
        self.is_initiator = is_initiator
        self.relay = relay
        self.relay_host = relay_host
        """IP address at which this node reaches the relay."""
        self.seen_host = seen_host
        """Where the relay sees the other end; None where it does not say."""
        self.on_release: Callable[[], None] | None = None
        """Told once, when the connection is given back."""
        self._stream = stream
        self._relay_address = relay_address
        self._buffer = bytearray()

    async def read(self, n: int | None = None) -> bytes:
        """Exactly n bytes, fewer at the end; without n, whatever is there."""
        wanted = 1 if n is None else n
        while len(self._buffer) < wanted:
            chunk = await self._stream.read(CREDIT_BYTES)
            if not chunk:
                break
            self._buffer += chunk
        size = len(self._buffer) if n is None else n
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def write(self, data: bytes) -> None:
        """All of the bytes."""
        await self._stream.write(data)

    def cut(self) -> None:
        """End it for whoever waits on it. Harmless when it has ended."""
        self._stream.cut()

    async def close(self) -> None:
        """As `cut`; the stream itself is released by who opened it."""
        self.cut()

    async def release(self) -> None:
        """Give the stream below back. Harmless twice."""
        on_release, self.on_release = self.on_release, None
        if on_release is not None:
            on_release()
        await self._stream.release()

    def get_remote_address(self) -> tuple[str, int] | None:
        """None: the other end's address is not known."""
        return None

    def get_transport_addresses(self) -> list[Multiaddr]:
        """None: peers learn addresses from signed records, not from connections."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """A relayed connection."""
        return ConnectionType.RELAYED

    @property
    def remote_host(self) -> str:
        """Whose places strangers take that come this way: the relay's."""
        return self.relay

    @property
    def remote_multiaddr(self) -> str:
        """Address of the other end as text."""
        return f"{self._relay_address.partition('/p2p/')[0]}/p2p/{self.relay}/p2p-circuit"
