"""What a node's own events tell of its work: answers it gave, and how soon its words are final."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.bodies import RESULT_DECODER
from dag.types import Kind
from meshnode.core.events import Committed, VertexAdmitted
from meshnode.errors import InvalidMessage
from meshnode.shell.measures import Distribution, Spread, Tally

if TYPE_CHECKING:
    from dag.vertex import SignedVertex
    from meshnode.core.events import Event

PENDING_MAX: Final = 4_096
"""Own vertices that wait for their place; those of a node that is cut off are not held for ever."""
COMMIT_BOUNDS_MS: Final = (50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 60_000)
ANSWER_BOUNDS_MS: Final = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000)
SELF: Final = "self"
PEER: Final = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything counted so far."""

    commits: int
    ordered: int
    """Vertices that commits put out; blocks are not counted."""
    commit_latency: Spread
    answers: list[tuple[tuple[str, ...], int]]
    """By model, and whether this node or a peer asked."""
    tokens: list[tuple[tuple[str, ...], int]]
    """By model and direction."""
    answer_duration: Spread


class EventMeter:
    """Counts what passes; one of it hears every event once."""

    def __init__(self) -> None:
        self._commits = 0
        self._ordered = 0
        self._pending: OrderedDict[bytes, int] = OrderedDict()
        self._commit_latency = Distribution(COMMIT_BOUNDS_MS)
        self._answers = Tally()
        self._tokens = Tally()
        self._answer_duration = Distribution(ANSWER_BOUNDS_MS)

    def note(self, event: Event, now_ms: int) -> None:
        """Take an event in."""
        if isinstance(event, VertexAdmitted):
            if not event.source:
                self._note_own(event.signed, now_ms)
        elif isinstance(event, Committed):
            self._note_commit(event, now_ms)

    def read(self) -> Work:
        """Everything counted so far."""
        return Work(
            commits=self._commits,
            ordered=self._ordered,
            commit_latency=self._commit_latency.read(),
            answers=self._answers.list_counts(),
            tokens=self._tokens.list_counts(),
            answer_duration=self._answer_duration.read(),
        )

    def _note_own(self, signed: SignedVertex, now_ms: int) -> None:
        vertex = signed.vertex
        if vertex.lane:
            return  # blocks make the order, and wait for none
        self._pending[signed.id] = now_ms
        if len(self._pending) > PENDING_MAX:
            self._pending.popitem(last=False)
        if vertex.kind == Kind.RESULT:
            self._note_answer(signed)

    def _note_answer(self, signed: SignedVertex) -> None:
        vertex = signed.vertex
        try:
            result = RESULT_DECODER.decode(vertex.body)
        except InvalidMessage:
            return  # somebody published a body of their own making through this node
        self._answers.add(result.model, SELF if result.requester == vertex.author else PEER)
        self._tokens.add(result.model, "in", amount=result.prompt_tokens)
        self._tokens.add(result.model, "out", amount=result.completion_tokens)
        self._answer_duration.observe(result.total_ms)

    def _note_commit(self, event: Committed, now_ms: int) -> None:
        self._commits += 1
        self._ordered += event.said
        if not self._pending:
            return
        for ref in event.commit.vertices[: event.said]:
            admitted_ms = self._pending.pop(ref.id, None)
            if admitted_ms is not None:
                self._commit_latency.observe(now_ms - admitted_ms)
