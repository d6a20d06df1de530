"""Server-sent events, parsed as they arrive, however the bytes are cut.

Follows the event stream format of the HTML standard: lines end with CR, LF or CRLF, `data` lines
of one event are joined by LF, lines that start with a colon are comments. `id` and `retry` belong
to reconnection, which answers of a model do not have, and are skipped. One thing differs: an event
whose lines are complete counts at the end of the stream even when its blank line is missing,
because servers exist that hang up right after their last line.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshnode.engines.base import EngineError, EngineFault

EVENT_BYTES_MAX = 1 << 20

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One event of a stream."""

    data: str
    event: str = "message"


class SseParser:
    """Turns bytes into events; holds at most one unfinished event of `event_bytes_max`."""

    def __init__(self, *, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._event_bytes_max = event_bytes_max
        self._fragments: list[bytes] = []
        """The line in progress, in pieces: joining at each arrival would cost quadratic time."""
        self._data: list[bytes] = []
        self._event = b""
        self._line_bytes = 0
        self._kept_bytes = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events completed by these bytes. Raises `EngineError` on an event over the limit."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        self._after_cr = data.endswith(b"\r")
        events: list[SseEvent] = []
        for piece in data.splitlines(keepends=True):
            self._fragments.append(piece)
            self._line_bytes += len(piece)
            if self._kept_bytes + self._line_bytes > self._event_bytes_max:
                raise EngineError(
                    EngineFault.MALFORMED,
                    f"an event of the stream is larger than {self._event_bytes_max} bytes",
                )
            if piece.endswith((b"\n", b"\r")):
                self._take_line(b"".join(self._fragments).rstrip(b"\r\n"), events)
        return events

    def finish(self) -> list[SseEvent]:
        """The event left when the stream ends, if all its lines were complete."""
        events: list[SseEvent] = []
        if not self._fragments:
            self._dispatch(events)
        return events

    def _take_line(self, line: bytes, events: list[SseEvent]) -> None:
        self._fragments.clear()
        line_bytes, self._line_bytes = self._line_bytes, 0
        if self._at_start:
            line = line.removeprefix(_BOM)
            self._at_start = False
        if not line:
            self._dispatch(events)
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._kept_bytes += line_bytes
        elif field == b"event":
            self._event = value

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            data = b"\n".join(self._data).decode(errors="replace")
            name = self._event.decode(errors="replace")
            events.append(SseEvent(data, name or "message"))
        self._data.clear()
        self._event = b""
        self._kept_bytes = 0
