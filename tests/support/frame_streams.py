"""Two ends of a stream of frames, without a transport: for both sides of a conversation."""

from __future__ import annotations

import asyncio

from meshnode.errors import StreamReset
from meshnode.transport.base import PeerId


class FrameEnd:
    """One end; `make_pair` makes both."""

    def __init__(self, peer: str) -> None:
        self.peer = PeerId(peer)
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.other: FrameEnd | None = None
        self.is_reset = False

    async def send(self, frame: bytes) -> None:
        assert self.other is not None
        if self.is_reset or self.other.is_reset:
            raise StreamReset("reset")
        self.other.inbox.put_nowait(frame)

    async def receive(self) -> bytes | None:
        if self.is_reset:
            raise StreamReset("reset")
        return await self.inbox.get()

    async def finish(self) -> None:
        assert self.other is not None
        self.other.inbox.put_nowait(None)

    def reset(self) -> None:
        assert self.other is not None
        if not self.is_reset:
            self.is_reset = True
            self.other.inbox.put_nowait(None)


def make_pair(one: str, other: str) -> tuple[FrameEnd, FrameEnd]:
    """The end that `one` holds, and the end that `other` holds."""
    held_by_one, held_by_other = FrameEnd(other), FrameEnd(one)
    held_by_one.other, held_by_other.other = held_by_other, held_by_one
    return held_by_one, held_by_other
