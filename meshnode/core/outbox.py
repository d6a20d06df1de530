"""Where the collaborators of a node leave their effects, and who waits for which receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from meshnode.core.effects import (
    Dial,
    Effect,
    Emit,
    LoadStored,
    Persist,
    Record,
    RunJob,
    Send,
    SendStored,
    SignProof,
    SignVertex,
    Verify,
)
from meshnode.core.events import Event
from meshnode.core.inputs import Outcome
from meshnode.core.messages import Message

CHANNEL_CONTROL: Final = 0
"""`meshnode.transport.base.Channel.CONTROL`; the core may not import the transport."""

Work = SignVertex | SignProof | Verify | LoadStored
Done = Callable[[int, Outcome], None]
"""Called with the time and the outcome of a job."""


class Outbox:
    """Collects effects in order; numbers jobs and hands their receipts to whoever asked."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._waiting: dict[int, Done] = {}
        self._jobs = 0

    def take(self) -> list[Effect]:
        """The effects since the last call."""
        effects, self._effects = self._effects, []
        return effects

    def add(self, effect: Effect) -> None:
        """Leave any effect."""
        self._effects.append(effect)

    def emit(self, event: Event) -> None:
        """Tell the application a fact."""
        self._effects.append(Emit(event))

    def send(self, to: Sequence[str], message: Message) -> None:
        """Send a message on the control channel; nothing happens without receivers."""
        if to:
            self._effects.append(Send(tuple(to), CHANNEL_CONTROL, message))

    def send_stored(
        self,
        to: str,
        request: int,
        ids: tuple[bytes, ...],
        missing: tuple[bytes, ...] = (),
        *,
        pruned_commit: int = 0,
    ) -> None:
        """Send stored vertices on the bulk channel."""
        self._effects.append(SendStored(to, request, ids, missing, pruned_commit))

    def persist(self, record: Record) -> None:
        """Make a record durable before whatever follows."""
        self._effects.append(Persist(record))

    def run(self, work: Work, done: Done) -> None:
        """Start a job; `done` is called with its outcome."""
        self._jobs += 1
        self._waiting[self._jobs] = done
        self._effects.append(RunJob(self._jobs, work))

    def dial(self, peer: str, addresses: tuple[str, ...], done: Done) -> None:
        """Start a dial; `done` is called when it has ended."""
        self._jobs += 1
        self._waiting[self._jobs] = done
        self._effects.append(Dial(self._jobs, peer, addresses))

    def complete(self, now_ms: int, job: int, outcome: Outcome) -> None:
        """Hand a receipt on."""
        done = self._waiting.pop(job, None)
        assert done is not None, f"job {job} is not running"
        done(now_ms, outcome)
