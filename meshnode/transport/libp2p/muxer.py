"""Yamux with the limits that the library leaves to the peer's good will.

The library's muxer counts a peer's window but takes data beyond it, and accepts any number of
streams. `GuardedConnection` sits below it, reads the muxer's headers as they pass and ends the
connection before the offending data is read. That the muxer's reader asks for exactly one header,
then exactly that header's body, is what the guard relies on; the tests hold it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    FLAG_SYN,
    HEADER_SIZE,
    TYPE_DATA,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    YAMUX_HEADER_FORMAT,
    Yamux,
    YamuxStream,
)

from meshnode.errors import Offence

if TYPE_CHECKING:
    from collections.abc import Callable

    from libp2p.abc import ISecureConn
    from libp2p.io.abc import ReadWriteCloser

    from meshnode.transport.libp2p.stream_bytes import RelayedConnection
    from meshnode.transport.libp2p.tcp import TcpConnection
    from meshnode.transport.limits import TransportLimits

_HEADER = struct.Struct(YAMUX_HEADER_FORMAT)
WINDOW_STEP_BYTES = 65_536


class GuardedConnection:
    """The encrypted connection below one muxer, with an eye on what the peer sends."""

    def __init__(
        self,
        secured: ISecureConn,
        tcp: TcpConnection | RelayedConnection,
        limits: TransportLimits,
    ) -> None:
        self._secured = secured
        self._tcp = tcp
        self._limits = limits
        self._body_left = 0
        self.is_initiator: bool = secured.is_initiator
        self.muxer: Yamux | None = None
        self.on_offence: Callable[[Offence, str], None] | None = None
        self.window_listeners: dict[int, Callable[[], None]] = {}
        """By stream id: whom to wake when the peer has opened that stream's window."""
        self._window_opened: int | None = None

    @property
    def remote_host(self) -> str:
        """IP address of the other end; the relay's id where it leads through one."""
        return self._tcp.remote_host

    async def read(self, n: int) -> bytes:
        """The next bytes for the muxer, which has dealt with all bytes before."""
        if self._window_opened is not None:
            listener = self.window_listeners.get(self._window_opened)
            self._window_opened = None
            if listener is not None:
                listener()
        data: bytes = await self._secured.read(n)
        if self._body_left:
            self._body_left -= len(data)
        elif len(data) == HEADER_SIZE:
            self._check_header(*_HEADER.unpack(data))
        return data

    async def write(self, data: bytes) -> None:
        """The muxer's bytes, all of them: a write that is cut off would break every stream.

        Only the end of the connection ends a write early (`cut`).
        """
        with trio.CancelScope(shield=True):
            await self._secured.write(data)

    def cut(self) -> None:
        """End the connection at once, with every read and write that waits on it."""
        self._tcp.cut()

    async def close(self) -> None:
        """End the connection at once."""
        self.cut()

    def _check_header(
        self, _version: int, kind: int, flags: int, stream_id: int, length: int
    ) -> None:
        assert self.muxer is not None
        if flags & FLAG_SYN and kind != TYPE_PING:  # of a ping, SYN marks the question
            self._check_new_stream(stream_id)
        if kind == TYPE_WINDOW_UPDATE:
            self._window_opened = stream_id
        if kind != TYPE_DATA:
            return
        buffered = sum(map(len, self.muxer.stream_buffers.values()))
        if buffered + length > self._limits.muxer_buffer_bytes:
            self._refuse(Offence.FLOOD, f"{buffered + length} bytes sent beyond what was read")
        self._body_left = length

    def _check_new_stream(self, stream_id: int) -> None:
        assert self.muxer is not None
        if stream_id % 2 == (1 if self.is_initiator else 0):
            self._refuse(Offence.BAD_STREAM, f"stream id {stream_id} belongs to this side")
        theirs = sum(not stream.is_initiator for stream in self.muxer.streams.values())
        if theirs >= self._limits.muxer_streams:
            self._refuse(Offence.FLOOD, f"{theirs} streams open, and one more")

    def _refuse(self, offence: Offence, detail: str) -> None:
        if self.on_offence is not None:
            self.on_offence(offence, detail)
        raise ConnectionClosedError(detail)


class WindowedReader:
    """Reads a stream, and opens its window in few large steps.

    The library opens the window after every read, which costs both sides a message each time, and
    lets it grow to 16 MB. Here it is as large as the credit above it, which is what counts, and
    some more, so that it never is what a peer with credit waits for.
    """

    def __init__(self, stream: YamuxStream, credit_bytes: int) -> None:
        self._stream = stream
        self._consumed_bytes = 0
        self._growth_bytes = credit_bytes + WINDOW_STEP_BYTES - DEFAULT_WINDOW_SIZE
        """Granted with the first step: a short stream does not need it."""

    async def read(self, size_max: int) -> bytes:
        """The next bytes. Raises the library's errors when the stream or connection has ended."""
        stream = self._stream
        data: bytes = await stream.conn.read_stream(stream.stream_id, size_max)
        self._consumed_bytes += len(data)
        if self._consumed_bytes >= WINDOW_STEP_BYTES:
            increment = self._consumed_bytes + self._growth_bytes
            self._consumed_bytes = self._growth_bytes = 0
            stream.recv_window += increment
            await stream.send_window_update(increment)
        return data


class UnannouncedReader:
    """A stream whose reads open no window, for the few bytes by which a protocol is agreed on.

    Those are read in two pieces a message, and the library tells the other side of each.
    """

    def __init__(self, stream: YamuxStream) -> None:
        self._stream = stream

    async def read(self, n: int | None = None) -> bytes:
        """At most n bytes. Raises the library's errors when the stream or connection has ended."""
        stream = self._stream
        data: bytes = await stream.conn.read_stream(stream.stream_id, -1 if n is None else n)
        return data

    async def write(self, data: bytes) -> None:
        """All of the bytes."""
        await self._stream.write(data)


def stop_updates(stream: ReadWriteCloser) -> ReadWriteCloser | UnannouncedReader:
    """A stream as it is read while a protocol is agreed on."""
    return UnannouncedReader(stream) if isinstance(stream, YamuxStream) else stream


class QuietMuxer(Yamux):
    """The library's muxer without its pings.

    It measures a round trip by which the library's own reader would size windows, and takes no
    notice of an answer that is missing; here `WindowedReader` does the one, and PING the other.
    """

    async def _measure_rtt_loop(self) -> None:
        """Leave the connection in peace: both sides asked every 30 s, six packets at a time."""


def new_muxer(guard: GuardedConnection, peer_id: object) -> Yamux:
    """A muxer over a guarded connection."""
    muxer = QuietMuxer(guard, peer_id, is_initiator=guard.is_initiator)
    guard.muxer = muxer
    return muxer


async def reset_stream(stream: YamuxStream) -> None:
    """Reset a stream and forget what it had buffered.

    The library keeps a stream whose buffer was not read to the end for a minute after its reset,
    and with it a place among the peer's streams.
    """
    buffer = stream.conn.stream_buffers.get(stream.stream_id)
    if buffer is not None:
        buffer.clear()
    await stream.reset()
