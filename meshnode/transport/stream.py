"""`FrameStream` over a link: what an application holds of one streamed answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshnode.errors import StreamReset

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshnode.transport.base import PeerId
    from meshnode.transport.link import FrameLink


class LinkStream:
    """A two-way stream of frames; both ends may send, finish and reset on their own."""

    def __init__(self, peer: PeerId, link: FrameLink, *, abort: Callable[[], None]) -> None:
        self._peer = peer
        self._link = link
        self._abort = abort
        self._changed = asyncio.Event()
        link.on_readable = self._changed.set
        link.on_room = self._changed.set

    @property
    def peer(self) -> PeerId:
        """The proved peer at the other end."""
        return self._peer

    @property
    def link(self) -> FrameLink:
        """The state below, for the transport that made this stream."""
        return self._link

    async def send(self, frame: bytes) -> None:
        """Send one frame; waits for credit. Raises `StreamReset` when the stream has ended."""
        while not self._link.offer((frame,)):
            if self._link.ended or self._link.finished:
                raise StreamReset(f"the stream to {self._peer} has ended")
            await self._wait()

    async def receive(self) -> bytes | None:
        """The next frame, or None after the other side finished. Raises `StreamReset`."""
        while True:
            frame = self._link.take_one()
            if frame is not None:
                self._link.consumed((frame,))
                return frame
            if self._link.peer_finished:
                return None
            if self._link.ended:
                raise StreamReset(f"{self._peer} reset the stream or is gone")
            await self._wait()

    async def finish(self) -> None:
        """Send what is queued and say that no more follows; returns when that is written."""
        self._link.finish()
        while self._link.has_unsent:
            if self._link.ended:
                raise StreamReset(f"the stream to {self._peer} ended before all was sent")
            await self._wait()

    def reset(self) -> None:
        """End the stream at once, in both directions. Harmless when it has ended."""
        if not self._link.ended:
            self._link.end()
            self._abort()

    async def _wait(self) -> None:
        self._changed.clear()
        await self._changed.wait()
