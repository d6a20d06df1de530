"""Who answers a stream: members ask questions, strangers may only ask to join."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshnode.blobs.protocol import begins_blob_stream
from meshnode.core.events import PeerReady
from meshnode.discovery.wire import is_question as is_about_peers
from meshnode.errors import InvalidMessage, StreamReset
from meshnode.serving.protocol import decode_ask_frame

if TYPE_CHECKING:
    from meshnode.blobs.server import BlobServer
    from meshnode.discovery.service import Discovery
    from meshnode.joining import JoinServer
    from meshnode.node.port import RuntimePort
    from meshnode.serving.server import AnswerServer
    from meshnode.shell.runtime import Runtime
    from meshnode.transport.base import FrameStream, PeerId

STRANGERS_MAX = 64
"""Streams of those who have not proved who they are."""
FIRST_FRAME_MS = 5_000
HANDSHAKE_MS = 3_000
"""A member may ask in the very moment in which its own proof is still being checked here."""


class StreamRouter:
    """Hands each stream that a peer opens to its server."""

    def __init__(self, runtime: Runtime, port: RuntimePort, joins: JoinServer) -> None:
        self._runtime = runtime
        self._port = port
        self._joins = joins
        self._answers: AnswerServer | None = None
        self._discovery: Discovery | None = None
        self._blobs: BlobServer | None = None
        self._strangers = 0

    def set_answers(self, answers: AnswerServer) -> None:
        """From now on members are served by this."""
        self._answers = answers

    def set_discovery(self, discovery: Discovery) -> None:
        """From now on members are told where members are by this."""
        self._discovery = discovery

    def set_blobs(self, blobs: BlobServer) -> None:
        """From now on members are given blobs by this."""
        self._blobs = blobs

    async def serve(self, stream: FrameStream) -> None:
        """Handle one stream to its end."""
        try:
            if self._port.find_member(stream.peer) is None:
                stream = await self._let_in(stream)
            if self._port.find_member(stream.peer) is not None:
                await self._serve_member(stream)
        except InvalidMessage as error:
            self._port.report_offence(stream.peer, error)
        except (StreamReset, TimeoutError):
            pass  # the peer is gone, or as good as gone
        finally:
            stream.reset()

    async def _serve_member(self, stream: FrameStream) -> None:
        """The first frame tells what a stream is about."""
        frame = await _receive_first(stream)
        replayed = _Replayed(stream, frame)
        if is_about_peers(frame):
            if self._discovery is not None:
                await self._discovery.serve(replayed)
        elif begins_blob_stream(frame):
            if self._blobs is not None:
                await self._blobs.serve(replayed)
        elif self._answers is not None:
            await self._answers.serve(replayed)

    async def _let_in(self, stream: FrameStream) -> FrameStream:
        """Serve a stranger, unless there are many of them already."""
        if self._strangers >= STRANGERS_MAX:
            raise StreamReset("too many strangers ask at once")
        self._strangers += 1
        try:
            return await self._serve_stranger(stream)
        finally:
            self._strangers -= 1

    async def _serve_stranger(self, stream: FrameStream) -> FrameStream:
        """Serve a joiner; for anything else wait until the handshake has shown who it is."""
        frame = await _receive_first(stream)
        replayed = _Replayed(stream, frame)
        if _is_question(frame):
            await self._wait_for_member(stream.peer)
        else:
            await self._joins.serve(replayed)
        return replayed

    async def _wait_for_member(self, peer: PeerId) -> None:
        async with self._runtime.events() as events, asyncio.timeout(HANDSHAKE_MS / 1000):
            if self._port.find_member(peer) is not None:
                return
            async for event in events:
                if isinstance(event, PeerReady) and event.peer == peer:
                    return


class _Replayed:
    """A stream whose first frame was looked at already."""

    def __init__(self, stream: FrameStream, first: bytes) -> None:
        self._stream = stream
        self._first: bytes | None = first

    @property
    def peer(self) -> PeerId:
        """The proved peer at the other end."""
        return self._stream.peer

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        await self._stream.send(frame)

    async def receive(self) -> bytes | None:
        """The next frame, beginning with the one that was looked at."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._stream.receive()

    async def finish(self) -> None:
        """Say that no more frames follow."""
        await self._stream.finish()

    def reset(self) -> None:
        """End the stream at once."""
        self._stream.reset()


async def _receive_first(stream: FrameStream) -> bytes:
    async with asyncio.timeout(FIRST_FRAME_MS / 1000):
        frame = await stream.receive()
    if frame is None:
        raise StreamReset(f"{stream.peer} asked nothing")
    return frame


def _is_question(frame: bytes) -> bool:
    if is_about_peers(frame) or begins_blob_stream(frame):
        return True
    try:
        decode_ask_frame(frame)
    except InvalidMessage:
        return False
    return True
