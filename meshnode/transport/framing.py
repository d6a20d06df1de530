"""The wire format of a stream of frames.

A stream carries frames back to back, in each direction on its own:

    frame := kind (1 byte) || length (3 bytes, big-endian) || payload (length bytes)

    kind  name    payload                     meaning
    0     DATA    0 .. 60,000 bytes           one application frame
    1     CREDIT  4 bytes, big-endian, >= 1   the sender may send that much more
    2     FINISH  none                        no DATA follows in this direction

**Credit.** A DATA frame costs its payload + 64, so that empty frames are not free. Each direction
starts with the window of its stream (control, rpc and answer streams 262,144; bulk 1,048,576); a
DATA frame may only be sent while the credit left covers its cost, and CREDIT gives back what the
receiving application has consumed, never more than the window in total. CREDIT and FINISH are
free. A receiver grants at the latest when a quarter of the window has been consumed, so a sender
never waits for a receiver that has nothing left to do.

**Errors.** An unknown kind, a wrong length, DATA after FINISH, a second FINISH, DATA beyond the
credit and CREDIT beyond the window end the connection. A length is checked before anything is
allocated for it. A stream that ends without FINISH was reset; nothing resumes inside a frame.

**Streams of a connection.** The dialling side opens one libp2p stream for each of
`/meshnode/1/control`, `/meshnode/1/bulk` and `/meshnode/1/rpc`; the connection is up when all
three stand. FINISH on any of them says that the sender hangs up. Either side opens a
`/meshnode/1/stream` for each streamed answer.
"""

from __future__ import annotations

from enum import IntEnum

from meshnode.errors import MalformedMessage, MessageTooLarge
from meshnode.transport.base import FRAME_BYTES_MAX, Channel

HEADER_BYTES = 4

FRAME_COST_BYTES = 64
"""Credit each DATA frame costs beyond its payload: what holding it costs the receiver."""

WRITE_BYTES_MAX = 61_440
"""Largest write: with the muxer's header it still is one Noise message."""

STREAM_WINDOW_BYTES = 256 * 1024
CHANNEL_WINDOW_BYTES = {
    Channel.CONTROL: 256 * 1024,
    Channel.BULK: 1024 * 1024,
    Channel.RPC: 256 * 1024,
}


class FrameKind(IntEnum):
    """First byte of a frame."""

    DATA = 0
    CREDIT = 1
    FINISH = 2


_LENGTH_LIMITS = {
    FrameKind.DATA: (0, FRAME_BYTES_MAX),
    FrameKind.CREDIT: (4, 4),
    FrameKind.FINISH: (0, 0),
}

FINISH_FRAME = bytes((FrameKind.FINISH, 0, 0, 0))


def frame_cost(payload: bytes) -> int:
    """Credit that sending a DATA frame with this payload takes."""
    return len(payload) + FRAME_COST_BYTES


def data_header(payload: bytes) -> bytes:
    """Header of a DATA frame; the caller has checked the payload's length."""
    return len(payload).to_bytes(HEADER_BYTES, "big")  # kind 0 is the leading byte


def encode_credit(amount: int) -> bytes:
    """A CREDIT frame."""
    return bytes((FrameKind.CREDIT, 0, 0, 4)) + amount.to_bytes(4, "big")


class FrameParser:
    """Cuts a byte stream into frames, whatever pieces it arrives in.

    Raises `MalformedMessage` or `MessageTooLarge` and nothing else; after that the stream is
    beyond repair and the parser must not be fed again.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a frame that is not complete; at most one frame."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[tuple[FrameKind, bytes]]:
        """The frames completed by these bytes."""
        if self._rest:
            data = self._rest + data
        frames: list[tuple[FrameKind, bytes]] = []
        position = 0
        size = len(data)
        while size - position >= HEADER_BYTES:
            start = position + HEADER_BYTES
            header = int.from_bytes(data[position:start], "big")
            if header <= FRAME_BYTES_MAX:  # kind 0 and a length within its limit
                kind, length = FrameKind.DATA, header
            else:
                kind, length = _checked(header >> 24, header & 0xFF_FFFF)
            if size - start < length:
                break
            position = start + length
            frames.append((kind, data[start:position]))
        self._rest = data[position:]
        return frames


def _checked(value: int, length: int) -> tuple[FrameKind, int]:
    if value > FrameKind.FINISH:
        raise MalformedMessage(f"frame kind {value} is unknown")
    kind = FrameKind(value)
    length_min, length_max = _LENGTH_LIMITS[kind]
    if length > length_max:
        raise MessageTooLarge(f"{kind.name} frame", length, length_max)
    if length < length_min:
        raise MalformedMessage(f"{kind.name} frame of {length} bytes, {length_min} expected")
    return kind, length
