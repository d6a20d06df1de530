"""When an answer is whole: its client need not wait until the mesh has signed and stored it.

An engine promises that usage comes last, behind or with the finish. From there on nothing is added,
and what is left (signing the result, writing it down) takes longer than a short answer itself.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from meshnode.engines.chunks import choices_of, find_usage
from meshnode.views import Answer, Usage

if TYPE_CHECKING:
    from meshnode.engines.base import Chunk
    from meshnode.views import Started


class Ending:
    """Watches the chunks of an answer for their end."""

    __slots__ = ("_began_s", "_finish_reason", "_first_s", "_started")

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._first_s: float | None = None
        self._finish_reason = ""
        self._started: Started | None = None

    def start(self, started: Started) -> None:
        """Somebody answers."""
        self._started = started

    def note(self, chunk: Chunk) -> bool:
        """Whether this chunk is the last."""
        if self._first_s is None:
            self._first_s = time.monotonic()
        for choice in choices_of(chunk):
            reason = choice.get("finish_reason")
            if reason:
                self._finish_reason = str(reason)
        return bool(self._finish_reason) and find_usage(chunk) is not None

    def make_answer(self) -> Answer | None:
        """The answer as far as it is known without its signed result."""
        started, now_s = self._started, time.monotonic()
        if started is None or self._first_s is None:
            return None
        return Answer(
            text="",
            model=started.model,
            engine=started.engine,
            author=started.author,
            peer=started.peer,
            name=started.name,
            local=started.local,
            share="",
            vertex="",
            lamport=0,
            verified=False,
            finish_reason=self._finish_reason,
            usage=Usage(),
            queued_ms=0,
            first_token_ms=int((self._first_s - self._began_s) * 1_000),
            total_ms=int((now_s - self._began_s) * 1_000),
            attempts=started.attempts,
        )
