"""Both directions of one stream of frames, without I/O: queue, credit, parser, inbox.

A carrier (memory or libp2p) moves bytes: it writes what `next_write` returns and feeds what
arrives. Above it a session or a `LinkStream` offers and takes frames. The three hooks tell the
other party that there is something to do; they are called at any moment and must only wake.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from meshnode.errors import MalformedMessage
from meshnode.transport.base import FRAME_BYTES_MAX
from meshnode.transport.framing import (
    FINISH_FRAME,
    FRAME_COST_BYTES,
    HEADER_BYTES,
    WRITE_BYTES_MAX,
    FrameKind,
    FrameParser,
    data_header,
    encode_credit,
    frame_cost,
)

GRANT_DIVISOR = 4


def _nothing() -> None:
    """A hook nobody listens to."""


class FrameLink:
    """One stream of frames as the application side and the byte side both see it."""

    def __init__(self, *, window_bytes: int, queue_bytes_max: int) -> None:
        self.on_writable: Callable[[], None] = _nothing
        """The byte side has something to write, or must stop."""
        self.on_readable: Callable[[], None] = _nothing
        """Frames arrived, the peer finished, or the link ended."""
        self.on_room: Callable[[], None] = _nothing
        """The queue has been emptied by a write, or the link ended."""
        self._window_bytes = window_bytes
        self._queue_bytes_max = queue_bytes_max
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._send_credit = window_bytes
        self._finishing = False
        self._finish_sent = False
        self._in_flight = False
        self._parser = FrameParser()
        self._inbox: deque[bytes] = deque()
        self._receive_credit = window_bytes
        self._grant_due = 0
        self._peer_finished = False
        self._ended = False
        self.progress = 0
        """Grows with every completed write: a stalled link is one that has work and no progress."""

    @property
    def window_bytes(self) -> int:
        """Credit of a direction on which nothing is under way."""
        return self._window_bytes

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting to be handed to the byte side."""
        return self._queued_bytes

    @property
    def has_unsent(self) -> bool:
        """Whether anything offered, or the finish mark, is not yet written out."""
        return self._in_flight or bool(self._queue) or self._finishing != self._finish_sent

    @property
    def finished(self) -> bool:
        """Whether this side has said that it sends no more."""
        return self._finishing

    @property
    def peer_finished(self) -> bool:
        """Whether the peer has said that it sends no more."""
        return self._peer_finished

    @property
    def complete(self) -> bool:
        """Whether both directions have finished and all of this side's bytes are written."""
        return self._finish_sent and self._peer_finished and not self._in_flight

    @property
    def ended(self) -> bool:
        """Whether the stream is gone in both directions."""
        return self._ended

    def offer(self, frames: Sequence[bytes]) -> bool:
        """Queue frames in order, all or none; False when they do not fit or the link is over."""
        if self._ended or self._finishing:
            return False
        size = 0
        for frame in frames:
            if len(frame) > FRAME_BYTES_MAX:
                raise AssertionError(f"a frame of {len(frame)} bytes exceeds {FRAME_BYTES_MAX}")
            size += len(frame) + HEADER_BYTES
        if self._queued_bytes and self._queued_bytes + size > self._queue_bytes_max:
            return False
        self._queue.extend(frames)
        self._queued_bytes += size
        self.on_writable()
        return True

    def finish(self) -> None:
        """Send what is queued, then the finish mark."""
        if not self._ended and not self._finishing:
            self._finishing = True
            self.on_writable()

    def next_write(self) -> bytes:
        """The bytes of the next write, or nothing when nothing may be sent now."""
        parts: list[bytes] = []
        if self._grant_due * GRANT_DIVISOR >= self._window_bytes:
            parts.append(encode_credit(self._grant_due))
            self._receive_credit += self._grant_due
            self._grant_due = 0
        self._take_queued(parts)
        if self._finishing and not self._queue and not self._finish_sent:
            self._finish_sent = True
            parts.append(FINISH_FRAME)
        self._in_flight = bool(parts)
        return b"".join(parts)

    def _take_queued(self, parts: list[bytes]) -> None:
        size = sum(map(len, parts))
        while self._queue:
            frame = self._queue[0]
            size += len(frame) + HEADER_BYTES
            cost = len(frame) + FRAME_COST_BYTES
            if cost > self._send_credit or size > WRITE_BYTES_MAX:
                return
            self._queue.popleft()
            self._send_credit -= cost
            self._queued_bytes -= len(frame) + HEADER_BYTES
            parts.append(data_header(frame))
            parts.append(frame)

    def written(self) -> None:
        """The bytes of the last `next_write` are out."""
        self._in_flight = False
        self.progress += 1
        if not self._queue:
            self.on_room()

    def feed(self, data: bytes) -> int:
        """Take bytes that arrived; returns the number of application frames in them.

        Raises `InvalidMessage` when the peer breaks the format or its credit.
        """
        if self._ended:
            return 0
        count = 0
        for kind, payload in self._parser.feed(data):
            if kind is FrameKind.DATA:
                self._receive(payload)
                count += 1
            elif kind is FrameKind.CREDIT:
                self._grant(int.from_bytes(payload, "big"))
            else:
                self._receive_finish()
        if count:
            self.on_readable()
        return count

    def _receive(self, payload: bytes) -> None:
        if self._peer_finished:
            raise MalformedMessage("DATA frame after FINISH")
        self._receive_credit -= frame_cost(payload)
        if self._receive_credit < 0:
            raise MalformedMessage("DATA frame beyond the granted credit")
        self._inbox.append(payload)

    def _grant(self, amount: int) -> None:
        if not 0 < amount <= self._window_bytes - self._send_credit:
            raise MalformedMessage(f"CREDIT of {amount} exceeds the window")
        self._send_credit += amount
        if self._queue:
            self.on_writable()

    def _receive_finish(self) -> None:
        if self._peer_finished:
            raise MalformedMessage("second FINISH frame")
        self._peer_finished = True
        self.on_readable()

    def take(self) -> list[bytes]:
        """All frames that arrived; the caller owes `consumed` for them."""
        frames = list(self._inbox)
        self._inbox.clear()
        return frames

    def take_one(self) -> bytes | None:
        """The next frame that arrived; the caller owes `consumed` for it."""
        return self._inbox.popleft() if self._inbox else None

    def consumed(self, frames: Sequence[bytes]) -> None:
        """These frames need no more room here: the peer may send as much again."""
        self._grant_due += sum(map(len, frames)) + FRAME_COST_BYTES * len(frames)
        if self._grant_due * GRANT_DIVISOR >= self._window_bytes and not self._ended:
            self.on_writable()

    def end(self) -> None:
        """The stream is gone; what arrived before can still be taken."""
        if self._ended:
            return
        self._ended = True
        self._queue.clear()
        self._queued_bytes = 0
        self._in_flight = False
        self.on_writable()
        self.on_readable()
        self.on_room()
