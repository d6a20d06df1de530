"""Moves the bytes of one link over one Yamux stream: one reader task, one writer task.

The writer is never cancelled inside a frame unless its whole connection ends: a write that was
cut off leaves bytes on the wire that nothing can call back.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio
from libp2p.io.exceptions import IOException
from libp2p.stream_muxer.exceptions import MuxedStreamError

from meshnode.transport.framing import WRITE_BYTES_MAX
from meshnode.transport.libp2p.muxer import WindowedReader, reset_stream

if TYPE_CHECKING:
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    from meshnode.transport.libp2p.muxer import GuardedConnection
    from meshnode.transport.libp2p.pace import Pace
    from meshnode.transport.link import FrameLink
    from meshnode.transport.session import Session

READ_BYTES = 4 * 65_536
"""More than the muxer gets in one go, so that a reader that fell behind catches up."""


async def carry(
    session: Session,
    link: FrameLink,
    stream: YamuxStream,
    guard: GuardedConnection,
    pace: Pace | None = None,
) -> None:
    """Move bytes in both directions until the link is over; then the stream is closed or reset.

    With a `pace` what is written keeps to it.
    """
    wake = _Wake()
    link.on_writable = wake.set
    guard.window_listeners[stream.stream_id] = wake.set
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, session, link, stream)
            await _write(link, stream, wake, pace)
            nursery.cancel_scope.cancel()
    finally:
        del guard.window_listeners[stream.stream_id]
    if not link.complete:
        await _quietly_reset(stream)
    link.end()


async def _read(session: Session, link: FrameLink, stream: YamuxStream) -> None:
    reader = WindowedReader(stream, link.window_bytes)
    while not link.peer_finished:
        try:
            data = await reader.read(READ_BYTES)
        except Exception:  # noqa: BLE001 - the library's errors on hostile input are not enumerable
            link.end()
            return
        if not session.feed(link, data):
            return
    link.on_writable()  # both directions may be over now


async def _write(link: FrameLink, stream: YamuxStream, wake: _Wake, pace: Pace | None) -> None:
    """Write until the link is over.

    A write begins when the muxer's window takes it whole: the library's own wait for a window
    polls, and gives up in the middle of a message.
    """
    try:
        while not link.ended:
            window_open = stream.send_window >= WRITE_BYTES_MAX
            if window_open and (data := link.next_write()):
                await stream.write(data)
                link.written()
                if pace is not None:
                    await trio.sleep(pace.spend(trio.current_time(), len(data)))
            elif link.complete:
                await stream.close()
                return
            else:
                await wake.wait()
    except (MuxedStreamError, IOException):
        link.end()


async def _quietly_reset(stream: YamuxStream) -> None:
    # When the connection is gone, so is the stream.
    with suppress(MuxedStreamError, IOException):
        await reset_stream(stream)


class _Wake:
    """A trio event that can be set again; setting it is safe from asyncio callbacks."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = trio.Event()
