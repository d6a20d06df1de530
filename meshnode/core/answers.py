"""Answering peers' questions for vertices, as long as they ask within reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from dag.errors import Offence
from dag.ranges import CUT_REF_BYTES
from dag.types import LANE_BLOCKS, LANES
from meshnode.core.messages import Get, GetLast, GetProfiles, GetSnapshot

if TYPE_CHECKING:
    from dag.intake import Intake
    from dag.types import Ref
    from meshnode.core.dissemination import Dissemination
    from meshnode.core.history import History
    from meshnode.core.outbox import Outbox
    from meshnode.core.requests import Offend

WINDOW_MS: Final = 1_000
QUESTIONS_MAX: Final = 1_000
"""Questions a peer may ask per window: four at a time, each answered within a few ms."""
PIECES_MAX: Final = 64
"""Pieces of snapshots a peer may ask for per window: one at a time, of up to 1 MiB."""


class Answers:
    """Serves stored vertices."""

    def __init__(
        self,
        outbox: Outbox,
        intake: Intake,
        dissemination: Dissemination,
        history: History,
        offend: Offend,
    ) -> None:
        self._outbox = outbox
        self._index = intake.index
        self._authors = intake.authors
        self._dissemination = dissemination
        self._offend = offend
        self._history = history
        self._window_ms = 0
        self._asked: dict[tuple[str, bool], int] = {}
        """By peer, for vertices and for pieces of snapshots."""

    def on_question(
        self, now_ms: int, peer: str, message: Get | GetProfiles | GetLast | GetSnapshot
    ) -> None:
        """Answer, or charge who asks too often."""
        if now_ms - self._window_ms >= WINDOW_MS:
            self._window_ms = now_ms
            self._asked = {}
        is_piece = isinstance(message, GetSnapshot)
        count_max, what = (PIECES_MAX, "pieces") if is_piece else (QUESTIONS_MAX, "questions")
        asked = self._asked[peer, is_piece] = self._asked.get((peer, is_piece), 0) + 1
        if asked > count_max:
            self._offend(now_ms, peer, Offence.FLOOD, f"more than {count_max} {what} a second")
            return
        match message:
            case GetSnapshot():
                self._history.on_question(peer, message)
            case Get():
                self._on_get(now_ms, peer, message)
            case GetProfiles():
                self._on_get_profiles(peer, message)
            case GetLast():
                self._on_get_last(peer, message)
            case _:
                assert_never(message)

    def _on_get(self, now_ms: int, peer: str, message: Get) -> None:
        held = []
        missing = []
        for vertex_id in message.ids:
            ref = self._find(vertex_id)
            if ref is None:
                missing.append(vertex_id)
            else:
                held.append(ref)
                self._note_asked(now_ms, peer, ref)
        ids = tuple([ref.id for ref in sorted(held)])
        self._dissemination.note_served(peer, len(ids))
        pruned_commit = self._history.pruned_commit
        self._outbox.send_stored(
            peer, message.request, ids, tuple(missing), pruned_commit=pruned_commit
        )

    def _note_asked(self, now_ms: int, peer: str, ref: Ref) -> None:
        entry = self._index.get(ref.id)
        if entry is not None and entry.lane == LANE_BLOCKS:
            self._dissemination.on_block_asked(now_ms, peer, entry.author, ref.id)

    def _find(self, name: bytes) -> Ref | None:
        if len(name) == CUT_REF_BYTES:
            return self._index.find(name)
        entry = self._index.get(name)
        return None if entry is None else entry.ref

    def _on_get_profiles(self, peer: str, message: GetProfiles) -> None:
        found = []
        missing = []
        for author in message.authors:
            record = self._authors.get(author)
            if record is None or not record.profiles:
                missing.append(author)
            else:
                found.append(record.profiles[0])
        ids = tuple([ref.id for ref in sorted(found)])
        self._outbox.send_stored(peer, message.request, ids, tuple(missing))

    def _on_get_last(self, peer: str, message: GetLast) -> None:
        entries = [self._index.get_last(message.author, lane) for lane in LANES]
        ids = tuple([entry.ref.id for entry in entries if entry is not None])
        self._outbox.send_stored(peer, message.request, ids)
