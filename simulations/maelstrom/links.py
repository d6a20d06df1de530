"""A reliable, ordered link over a network that loses, doubles, delays and parts.

The core counts on connections that are reliable and ordered until they end, and Maelstrom's
network is neither. A link numbers frames, acknowledges them all at once, and sends again what was
not acknowledged, several frames to a packet. Time comes in as integers; nothing here does I/O.

    dialler                         other end
    (session 5, echo 0, opening) ->
                                 <- (session 9, echo 5, opening)
    (session 5, echo 9) ->          open here once this, or a first frame, arrives

Session numbers of one end only grow, so that a packet of an earlier connection never passes for
one of the present. Who is spoken to in a connection it does not know answers `reset`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulations.maelstrom.protocol import Packet
from simulations.maelstrom.retransmission import Retransmission

OPEN_TIMEOUT_MS: Final = 5_000
ACK_DELAY_MS: Final = 250
"""An acknowledgement waits this long for a frame to travel with."""
WINDOW: Final = 128
"""Frames on their way at once, and frames kept that came too early."""
ACK_EVERY: Final = WINDOW // 4
"""Frames after which an acknowledgement waits no longer."""
PACKET_BYTES_MAX: Final = 65_536
"""Of frames in one packet, unless a single one is larger."""
QUEUE_BYTES_MAX: Final = 8 << 20
"""Of frames that wait; a peer further behind is given up."""
FRAME_OVERHEAD_BYTES: Final = 64


class Phase(Enum):
    """How far a connection is."""

    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection stands."""

    inbound: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection has ended, or never stood."""

    reason: str
    was_open: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """The next frame of the other end."""

    frame: bytes


LinkEvent = Opened | Closed | Arrived


class Link:
    """This end of the connection to one peer, over and over."""

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self._last_session = 0
        self._packets: list[Packet] = []
        self._events: list[LinkEvent] = []
        self._reset()

    def _reset(self) -> None:
        self.phase = Phase.CLOSED
        self._session = 0
        self._other = 0
        self._inbound = False
        self._open_due_ms = 0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._acked = 0
        self._sent = 0
        self._sent_ever = 0
        self._timer = Retransmission()
        self._taken = 0
        self._early: dict[int, bytes] = {}
        self._unacked = 0
        self._ack_due_ms = -1

    @property
    def is_open(self) -> bool:
        """Whether frames can be sent."""
        return self.phase is Phase.OPEN

    # --- what the owner does --------------------------------------------------------------------

    def dial(self, now_ms: int) -> None:
        """Open a connection, unless one stands or is being opened."""
        if self.phase is Phase.CLOSED:
            self._open(now_ms, 0, inbound=False)

    def send(self, now_ms: int, frame: bytes) -> None:
        """Queue a frame; where no connection stands it is dropped."""
        if self.phase is not Phase.OPEN:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame) + FRAME_OVERHEAD_BYTES
        if self._queued_bytes > QUEUE_BYTES_MAX:
            self._hang_up("the peer does not keep up")
        elif not self._timer.is_set:
            self._timer.start(now_ms)

    def hang_up(self, now_ms: int, reason: str) -> None:
        """End the connection; the other end hears of it at once, or when it next speaks."""
        if self.phase is Phase.OPEN:
            self._fill(now_ms)  # last words
        if self.phase is not Phase.CLOSED:
            self._hang_up(reason)

    def take_packets(self, now_ms: int) -> list[Packet]:
        """What is to be sent now, acknowledgements that are due included."""
        if self.phase is Phase.OPEN:
            self._fill(now_ms)
            if 0 <= self._ack_due_ms <= now_ms:
                self._emit(0, ())
        packets, self._packets = self._packets, []
        return packets

    def take_events(self) -> list[LinkEvent]:
        """What has happened."""
        events, self._events = self._events, []
        return events

    @property
    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if self.phase is Phase.CLOSED:
            return None
        due_ms = [self._timer.due_ms] if self._timer.is_set else []
        if self.phase is Phase.OPENING:
            due_ms.append(self._open_due_ms)
        elif self._ack_due_ms >= 0:
            due_ms.append(self._ack_due_ms)
        return min(due_ms, default=None)

    def tick(self, now_ms: int) -> None:
        """Do what is due. Early or twice is harmless."""
        if self.phase is Phase.OPENING and now_ms >= self._open_due_ms:
            self._close("timed out")
        if self.phase is Phase.CLOSED:
            return
        if self._timer.is_due(now_ms):
            self._timer.back_off(now_ms)
            if self.phase is Phase.OPENING:
                self._greet()
            else:
                self._sent = self._acked

    # --- what the other end does ----------------------------------------------------------------

    def receive(self, now_ms: int, packet: Packet) -> None:
        """Take a packet; whatever it says, it harms this connection only."""
        if packet.reset:
            if self.phase is not Phase.CLOSED and packet.echo == self._session:
                self._close("hung up")
        elif packet.echo == 0:
            self._receive_greeting(now_ms, packet)
        elif self.phase is Phase.CLOSED or packet.echo != self._session:
            self._packets.append(Packet(packet.echo, packet.session, reset=True))
        else:
            self._receive_known(now_ms, packet)

    def _receive_greeting(self, now_ms: int, packet: Packet) -> None:
        if not packet.opening or packet.session < self._other:
            return
        if self.phase is not Phase.CLOSED and self._other and packet.session > self._other:
            self._close("the peer has connected anew")
        if self.phase is Phase.CLOSED:
            self._open(now_ms, packet.session, inbound=True)
        else:
            self._other = packet.session
            self._greet()

    def _receive_known(self, now_ms: int, packet: Packet) -> None:
        if self._other not in (0, packet.session):
            return
        self._other = packet.session
        if self.phase is Phase.OPENING:
            self.phase = Phase.OPEN
            self._timer = Retransmission()
            self._events.append(Opened(self._inbound))
        if packet.opening:
            self._ack_due_ms = now_ms
        self._receive_ack(now_ms, packet.ack)
        if packet.frames:
            self._receive_frames(now_ms, packet)

    def _receive_ack(self, now_ms: int, ack: int) -> None:
        if not self._acked < ack <= self._sent_ever:
            return
        for _ in range(ack - self._acked):
            self._queued_bytes -= len(self._queue.popleft()) + FRAME_OVERHEAD_BYTES
        self._acked = ack
        self._sent = max(self._sent, ack)
        self._timer.note_progress(now_ms, ack, is_idle=not self._queue)

    def _receive_frames(self, now_ms: int, packet: Packet) -> None:
        in_order = packet.first == self._taken + 1
        for number, frame in enumerate(packet.frames, packet.first):
            if self._taken < number <= self._taken + WINDOW:
                self._early.setdefault(number, frame)
        while (frame_next := self._early.pop(self._taken + 1, None)) is not None:
            self._taken += 1
            self._unacked += 1
            self._events.append(Arrived(frame_next))
        # What comes twice or early tells that an acknowledgement or a frame was lost.
        urgent = not in_order or self._unacked >= ACK_EVERY
        due_ms = now_ms if urgent else now_ms + ACK_DELAY_MS
        self._ack_due_ms = due_ms if self._ack_due_ms < 0 else min(self._ack_due_ms, due_ms)

    # --- opening and ending ---------------------------------------------------------------------

    def _open(self, now_ms: int, other: int, *, inbound: bool) -> None:
        # Later than any number before, those of an earlier life of this process included.
        self._last_session = self._session = max(self._last_session + 1, now_ms)
        self._other = other
        self._inbound = inbound
        self.phase = Phase.OPENING
        self._open_due_ms = now_ms + OPEN_TIMEOUT_MS
        self._timer.start(now_ms)
        self._greet()

    def _greet(self) -> None:
        opening = self.phase is Phase.OPENING
        self._packets.append(Packet(self._session, self._other, opening, ack=self._taken))

    def _hang_up(self, reason: str) -> None:
        if self._other:
            self._packets.append(Packet(self._session, self._other, reset=True))
        self._close(reason)

    def _close(self, reason: str) -> None:
        self._events.append(Closed(reason, self.phase is Phase.OPEN))
        self._reset()

    # --- sending --------------------------------------------------------------------------------

    def _fill(self, now_ms: int) -> None:
        """Pack what may travel; after a loss one packet only, until it is acknowledged."""
        end = self._acked + min(WINDOW, len(self._queue))
        while self._sent < end and not (self._timer.is_probing and self._sent > self._acked):
            frames = self._pack(end)
            self._emit(self._sent + 1, frames)
            self._sent += len(frames)
            if self._sent > self._sent_ever:
                self._sent_ever = self._sent
                self._timer.note_sent(now_ms, self._sent)

    def _pack(self, end: int) -> tuple[bytes, ...]:
        frames: list[bytes] = []
        size_bytes = 0
        for number in range(self._sent, end):
            frame = self._queue[number - self._acked]
            size_bytes += len(frame)
            if frames and size_bytes > PACKET_BYTES_MAX:
                break
            frames.append(frame)
        return tuple(frames)

    def _emit(self, first: int, frames: tuple[bytes, ...]) -> None:
        self._ack_due_ms = -1
        self._unacked = 0
        self._packets.append(
            Packet(self._session, self._other, ack=self._taken, first=first, frames=frames)
        )
