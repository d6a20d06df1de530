"""Questions to peers: each has a number, a deadline, and one end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dag.errors import Offence
from dag.ranges import cut_ref
from meshnode.core.inputs import Vertices
from meshnode.core.outbox import Outbox

PROGRESS_MS: Final = 60_000
"""For no longer than this a peer that sends other vertices puts an answer off."""
LATE_MAX: Final = 32
"""Answers a peer may owe after their deadlines; each further one is an offence."""

LANES_PER_NAME: Final = 2
"""Vertices that one name in a question stands for at most: an author's last ones have two lanes."""

OnAnswer = Callable[[int, "Request", Vertices], None]
OnEnd = Callable[[int, "Request"], None]
Offend = Callable[[int, str, Offence, str], None]


@dataclass(slots=True, eq=False)
class Request:
    """An open question. `ids` is what has not been answered yet."""

    number: int
    peer: str
    ids: dict[bytes, None]
    deadline_ms: int
    latest_ms: int
    """The deadline is not moved beyond this."""
    room: int
    """How many vertices the answer may still hold."""
    on_answer: OnAnswer
    """An answer came, or a part of it; its vertices were offered to the intake before."""
    on_end: OnEnd
    """No more answer is awaited; what is left in `ids` did not come."""


class Requests:
    """Open questions by peer. Late answers are listened to, unasked ones are an offence."""

    def __init__(self, outbox: Outbox, get_ms: int, offend: Offend) -> None:
        self._outbox = outbox
        self._get_ms = get_ms
        self._offend = offend
        self._count = 0
        self._open: dict[int, Request] = {}
        self._late: dict[str, dict[int, int]] = {}
        """By peer, the questions it has left open, with the room that is left in the answer."""

    def count(self, peer: str) -> int:
        """How many questions a peer has open in time."""
        return sum(request.peer == peer for request in self._open.values())

    def next_number(self) -> int:
        """Number the next question."""
        self._count += 1
        return self._count

    def open(
        self,
        now_ms: int,
        number: int,
        peer: str,
        ids: tuple[bytes, ...],
        *,
        on_answer: OnAnswer,
        on_end: OnEnd,
    ) -> None:
        """Await the answer to a question that is being sent."""
        deadline_ms = now_ms + self._get_ms
        latest_ms, room = now_ms + PROGRESS_MS, LANES_PER_NAME * max(1, len(ids))
        self._open[number] = Request(
            number, peer, dict.fromkeys(ids), deadline_ms, latest_ms, room, on_answer, on_end
        )

    def is_asked(self, now_ms: int, peer: str, message: Vertices) -> bool:
        """Whether an answer was asked for, all of it; if not, its sender is charged."""
        request = self._open.get(message.request)
        late = self._late.get(peer, {})
        if request is not None and request.peer == peer:
            request.room = room = request.room - len(message.candidates)
        elif message.request in late:
            late[message.request] = room = late[message.request] - len(message.candidates)
            if message.last:
                del late[message.request]
        else:
            self._offend(now_ms, peer, Offence.UNASKED, "an answer without a question")
            return False
        if room < 0:
            self._offend(now_ms, peer, Offence.UNASKED, "an answer with more than was asked for")
        return room >= 0

    def note_progress(self, now_ms: int, peer: str) -> None:
        """A peer sends vertices: answers to it may be queued behind them, so deadlines move."""
        for request in self._open.values():
            if request.peer == peer:
                request.deadline_ms = min(now_ms + self._get_ms, request.latest_ms)

    def answer(self, now_ms: int, message: Vertices) -> None:
        """Hand an answer on, after its vertices were offered."""
        request = self._open.get(message.request)
        if request is None:
            return
        for candidate in message.candidates:
            request.ids.pop(candidate.signed.id, None)
            request.ids.pop(cut_ref(candidate.signed.ref), None)
        request.on_answer(now_ms, request, message)
        if message.last:
            self._open.pop(request.number, None)
            request.on_end(now_ms, request)

    def drop_peer(self, now_ms: int, peer: str) -> None:
        """A peer is gone, and its answers with it."""
        self._late.pop(peer, None)
        for request in [item for item in self._open.values() if item.peer == peer]:
            del self._open[request.number]
            request.on_end(now_ms, request)

    def tick(self, now_ms: int) -> None:
        """End what is overdue."""
        for request in [item for item in self._open.values() if item.deadline_ms <= now_ms]:
            if self._open.pop(request.number, None) is None:
                continue  # an offence for an earlier one has ended the connection
            late = self._late.setdefault(request.peer, {})
            late[request.number] = request.room
            if len(late) > LATE_MAX:
                del late[next(iter(late))]
                self._offend(now_ms, request.peer, Offence.NOT_SERVED, "answers do not come")
            request.on_end(now_ms, request)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        if not self._open:
            return None
        return min(request.deadline_ms for request in self._open.values())
