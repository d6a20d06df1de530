"""Fetching the sections of a snapshot from peers, one question at a time.

A section is longer than one answer may be; whoever was asked is asked on. What comes is bounded by
what was announced, and a peer that sends something else is charged. A peer that is silent, or does
not hold the section, is passed over by whoever asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dag.errors import Offence
from meshnode.core.messages import GetSnapshot, Snapshot

if TYPE_CHECKING:
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend

ANSWER_MS: Final = 60_000
"""An answer takes no longer than this, however steadily it comes."""
LATE_MAX: Final = 64
"""Questions remembered whose answers may still come."""

OnData = Callable[[int, str, bytes], None]
OnFailure = Callable[[int, str], None]


@dataclass(slots=True, eq=False)
class _Question:
    """What is asked, and what has come of it."""

    peer: str
    index: int
    section: int
    size_max: int
    on_data: OnData
    on_failure: OnFailure
    number: int = 0
    deadline_ms: int = 0
    latest_ms: int = 0
    size_bytes: int = 0
    """As announced by the first piece."""
    data: bytearray = field(default_factory=bytearray)


class SnapshotSections:
    """The question that is open, and late answers to earlier ones."""

    def __init__(self, outbox: Outbox, get_ms: int, offend: Offend) -> None:
        self._outbox = outbox
        self._get_ms = get_ms
        self._offend = offend
        self._count = 0
        self._open: _Question | None = None
        self._late: dict[int, str] = {}

    def ask(
        self,
        now_ms: int,
        peer: str,
        index: int,
        section: int,
        *,
        size_max: int,
        on_data: OnData,
        on_failure: OnFailure,
    ) -> None:
        """Fetch a section from a peer; one of the two is called once."""
        assert self._open is None, "one question at a time"
        self._open = _Question(peer, index, section, size_max, on_data, on_failure)
        self._send(now_ms, self._open)

    def _send(self, now_ms: int, question: _Question) -> None:
        self._count += 1
        question.number = self._count
        question.deadline_ms = now_ms + self._get_ms
        question.latest_ms = now_ms + ANSWER_MS
        offset = len(question.data)
        message = GetSnapshot(question.number, question.index, question.section, offset)
        self._outbox.send((question.peer,), message)

    def on_piece(self, now_ms: int, peer: str, message: Snapshot) -> None:
        """Take a piece, or charge who sends what was not asked for."""
        question = self._open
        if question is None or (question.number, question.peer) != (message.request, peer):
            self._on_unawaited(now_ms, peer, message)
        elif not message.size_bytes:
            self._open = None
            question.on_failure(now_ms, peer)
        elif not _fits(question, message):
            self._fail(question)
            detail = f"a piece of section {question.section} is not what was asked for"
            self._offend(now_ms, peer, Offence.MALFORMED, detail)
            question.on_failure(now_ms, peer)
        else:
            self._take(now_ms, question, message)

    def _on_unawaited(self, now_ms: int, peer: str, message: Snapshot) -> None:
        if self._late.get(message.request) != peer:
            detail = "a piece of a snapshot without a question"
            self._offend(now_ms, peer, Offence.UNASKED, detail)
        elif message.last:
            del self._late[message.request]

    def _take(self, now_ms: int, question: _Question, message: Snapshot) -> None:
        question.size_bytes = message.size_bytes
        question.data += message.data
        question.deadline_ms = min(now_ms + self._get_ms, question.latest_ms)
        if len(question.data) == question.size_bytes:
            self._open = None
            if not message.last:
                self._note_late(question)
            question.on_data(now_ms, question.peer, bytes(question.data))
        elif message.last:
            self._send(now_ms, question)

    def _fail(self, question: _Question) -> None:
        self._open = None
        self._note_late(question)

    def _note_late(self, question: _Question) -> None:
        self._late[question.number] = question.peer
        if len(self._late) > LATE_MAX:
            del self._late[next(iter(self._late))]

    def drop_peer(self, now_ms: int, peer: str) -> None:
        """A peer is gone, and its answers with it."""
        self._late = {number: name for number, name in self._late.items() if name != peer}
        question = self._open
        if question is not None and question.peer == peer:
            self._open = None
            question.on_failure(now_ms, peer)

    def tick(self, now_ms: int) -> None:
        """End a question that is overdue."""
        question = self._open
        if question is not None and question.deadline_ms <= now_ms:
            self._fail(question)
            question.on_failure(now_ms, question.peer)

    def next_deadline(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._open is None else self._open.deadline_ms


def _fits(question: _Question, message: Snapshot) -> bool:
    """Whether a piece goes on where the last one ended, within what was announced."""
    held = len(question.data)
    return (
        message.size_bytes <= question.size_max
        and (not held or message.size_bytes == question.size_bytes)
        and message.offset == held
        and 0 < len(message.data) <= message.size_bytes - held
    )
