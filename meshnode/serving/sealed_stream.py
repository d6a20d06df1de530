"""A stream of frames, each in a box: what both sides of a sealed stream read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshnode.errors import MalformedMessage, StreamReset
from meshnode.sealed.frames import Box, Opener, Sealer
from meshnode.sealed.handshake import Accept
from meshnode.serving.protocol import (
    Failed,
    Refuse,
    decode_answer_frame,
    decode_ask_frame,
    encode_frame,
)

if TYPE_CHECKING:
    from meshnode.sealed.handshake import Asking, StreamKeys
    from meshnode.transport.base import FrameStream, PeerId


class SealRefused(StreamReset):
    """The serving side does not have the key that this was sealed to; its newest profile came."""

    code = "seal_refused"

    def __init__(self, peer: str, profile: bytes) -> None:
        super().__init__(f"{peer} has other sealing keys by now", hint="ask again")
        self.profile = profile


def is_sealed(stream: FrameStream) -> bool:
    """Whether all frames of a stream are sealed."""
    return isinstance(stream, _SealedStream)


class _SealedStream:
    """A stream of frames, each in a box."""

    def __init__(self, stream: FrameStream) -> None:
        self._stream = stream
        self._is_sending = False

    @property
    def peer(self) -> PeerId:
        """The proved peer at the other end."""
        return self._stream.peer

    async def _send(self, sealer: Sealer, frame: bytes, *, last: bool = False) -> None:
        if self._is_sending:
            # A frame was sealed and never left: those behind it would open for nobody.
            raise StreamReset(f"a frame to {self.peer} was broken off")
        self._is_sending = True
        await self._stream.send(encode_frame(sealer.seal(frame, last=last)))
        self._is_sending = False

    def _open(self, opener: Opener, data: bytes | None, box: object) -> bytes | None:
        """What a frame holds; None at the end that the other side has sealed."""
        if data is None:
            if opener.ended:
                return None
            raise StreamReset(f"{self.peer} ended a sealed stream without its last frame")
        if not isinstance(box, Box):
            raise MalformedMessage("a frame in the open came on a sealed stream")
        opened = opener.open(box)
        if not opened.last:
            return opened.content
        if opened.content:
            raise MalformedMessage("the last sealed frame says something")
        return None

    def reset(self) -> None:
        """End the stream at once."""
        self._stream.reset()


class AskingStream(_SealedStream):
    """The asking side of a sealed stream; OPEN has been sent."""

    def __init__(self, stream: FrameStream, asking: Asking) -> None:
        super().__init__(stream)
        self._asking = asking
        self._sealer = Sealer(asking.ask_key)
        self._opener: Opener | None = None

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        await self._send(self._sealer, frame)

    async def finish(self) -> None:
        """Say that no more frames follow."""
        await self._send(self._sealer, b"", last=True)
        await self._stream.finish()

    async def receive(self) -> bytes | None:
        """The next frame.

        A refusal of who has not even looked at the question comes in the open, and says nothing of
        it. Raises `SealRefused` where the other side has other keys by now.
        """
        data = await self._stream.receive()
        frame = None if data is None else decode_answer_frame(data)
        if self._opener is None:
            if frame is None or isinstance(frame, Failed):
                return data
            if isinstance(frame, Refuse):
                raise SealRefused(self.peer, frame.profile)
            if not isinstance(frame, Accept):
                raise MalformedMessage("a sealed stream is answered with ACCEPT")
            self._opener = Opener(self._asking.finish(frame).answer)
            return await self.receive()
        return self._open(self._opener, data, frame)


class ServingStream(_SealedStream):
    """The serving side of a sealed stream; ACCEPT has been sent."""

    def __init__(self, stream: FrameStream, keys: StreamKeys) -> None:
        super().__init__(stream)
        self._sealer = Sealer(keys.answer)
        self._opener = Opener(keys.ask)

    async def send(self, frame: bytes) -> None:
        """Send one frame."""
        await self._send(self._sealer, frame)

    async def finish(self) -> None:
        """Say that no more frames follow."""
        await self._send(self._sealer, b"", last=True)
        await self._stream.finish()

    async def receive(self) -> bytes | None:
        """The next frame."""
        data = await self._stream.receive()
        return self._open(self._opener, data, None if data is None else decode_ask_frame(data))
