"""Carries out what the core asks, in its order, with `Persist` as a barrier.

What stands before the first `Persist` of a batch goes out at once. Then every `Persist` of the batch
becomes durable in one transaction, and only then the rest follows. If the journal fails, nothing
behind the barrier has left the process, and the node stops.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol, assert_never

import msgspec

from dag.vertex import decode_signed
from meshnode.core.effects import (
    Dial,
    Effect,
    Emit,
    Hangup,
    LoadStored,
    Penalise,
    Persist,
    Restart,
    RunJob,
    Send,
    SendSnapshot,
    SendStored,
)
from meshnode.core.events import Committed
from meshnode.core.inputs import DialEnded, Loaded, Outcome
from meshnode.errors import TransportError
from meshnode.shell.outgoing import Outgoing
from meshnode.transport.base import PeerId

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from meshnode.core.events import Event
    from meshnode.shell.bulk import BulkSender
    from meshnode.shell.journal import Journal
    from meshnode.shell.telemetry import Telemetry
    from meshnode.shell.verify_pool import CryptoWork, VerifyPool
    from meshnode.transport.base import Transport


class Applicant(Protocol):
    """Whom effects come from, and receipts go to."""

    def on_event(self, event: Event) -> None:
        """A fact for the application."""

    def on_receipt(self, job: int, outcome: Outcome) -> None:
        """A dial or job has ended."""

    def on_restart(self, reason: str) -> None:
        """The core is to be begun anew from the journal."""

    def on_failure(self, error: BaseException) -> None:
        """Something that must not fail did; the node stops."""


class Applier:
    """Applies effects. `close` ends what is still running for the core."""

    def __init__(
        self,
        *,
        transport: Transport,
        journal: Journal,
        pool: VerifyPool,
        bulk: BulkSender,
        telemetry: Telemetry,
        applicant: Applicant,
        is_heard: Callable[[PeerId], bool],
    ) -> None:
        """Take what effects need.

        Args:
            transport: Where messages and dials go.
            journal: Where records go.
            pool: Who signs and verifies.
            bulk: Who sends stored vertices.
            telemetry: Who counts.
            applicant: Who hears of facts and receipts.
            is_heard: Whether a peer's connection is the one the core speaks of.
        """
        self._transport = transport
        self._journal = journal
        self._pool = pool
        self._bulk = bulk
        self._telemetry = telemetry
        self._applicant = applicant
        self._is_heard = is_heard
        self._outgoing = Outgoing(transport, telemetry)
        self._jobs: dict[asyncio.Task[None], None] = {}
        self._dials: dict[asyncio.Task[None], None] = {}

    @property
    def jobs(self) -> int:
        """Jobs that have not ended; dials are not counted."""
        return len(self._jobs)

    async def apply(self, effects: Sequence[Effect]) -> None:
        """Carry out the effects of a batch. Raises `StorageError` when the journal fails."""
        records = [effect.record for effect in effects if isinstance(effect, Persist)]
        if not records:
            self._apply_all(effects)
            return
        barrier = next(n for n, effect in enumerate(effects) if isinstance(effect, Persist))
        self._apply_all(effects[:barrier])
        await self._journal.append(records, _collect_commits(effects[barrier:]))
        self._telemetry.count("records_persisted", len(records))
        self._telemetry.count("transactions")
        self._apply_all(effects[barrier:])

    def _apply_all(self, effects: Sequence[Effect]) -> None:
        crypto: list[tuple[int, CryptoWork]] = []
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case SendStored() | SendSnapshot():
                    if self._is_heard(PeerId(effect.to)):
                        self._bulk.submit(effect)
                case Persist():
                    pass  # durable by now
                case Emit():
                    self._applicant.on_event(effect.event)
                case Dial():
                    self._start(self._dials, self._dial(effect))
                case Hangup():
                    self._outgoing.flush()
                    if self._is_heard(PeerId(effect.peer)):
                        self._transport.hang_up(PeerId(effect.peer), reason=effect.reason)
                case Penalise():
                    self._telemetry.count_offence(effect.peer, effect.offence.value)
                case Restart():
                    self._applicant.on_restart(effect.reason)
                case RunJob() if isinstance(effect.work, LoadStored):
                    self._start(self._jobs, self._load(effect.job, effect.work))
                case RunJob():
                    crypto.append((effect.job, effect.work))
                case _:
                    assert_never(effect)
        self._outgoing.flush()
        per_hop = self._pool.jobs_per_hop
        for start in range(0, len(crypto), per_hop):
            self._start(self._jobs, self._compute(crypto[start : start + per_hop]))

    def _send(self, effect: Send) -> None:
        heard = tuple(peer for peer in effect.to if self._is_heard(PeerId(peer)))
        if heard != effect.to:
            self._telemetry.count("frames_not_taken", len(effect.to) - len(heard))
            effect = msgspec.structs.replace(effect, to=heard)
        if heard:
            self._outgoing.send(effect)

    def _start(
        self, tasks: dict[asyncio.Task[None], None], work: Coroutine[object, object, None]
    ) -> None:
        task = asyncio.get_running_loop().create_task(work, name="core job")
        tasks[task] = None
        task.add_done_callback(partial(self._ended, tasks))

    def _ended(self, tasks: dict[asyncio.Task[None], None], task: asyncio.Task[None]) -> None:
        del tasks[task]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._applicant.on_failure(error)

    async def _dial(self, effect: Dial) -> None:
        try:
            await self._transport.dial(PeerId(effect.peer), effect.addresses)
        except TransportError as error:
            outcome = DialEnded(str(error) or type(error).__name__)
        else:
            outcome = DialEnded("")
        self._applicant.on_receipt(effect.job, outcome)

    async def _load(self, job: int, work: LoadStored) -> None:
        wires = await self._journal.read(work.ids)
        found = [decode_signed(wires[item]) for item in work.ids if item in wires]
        self._applicant.on_receipt(job, Loaded(tuple(found)))

    async def _compute(self, jobs: Sequence[tuple[int, CryptoWork]]) -> None:
        for job, outcome in await self._pool.run(jobs):
            self._applicant.on_receipt(job, outcome)

    async def drop_jobs(self) -> None:
        """End dials and jobs: whoever asked for them is gone."""
        tasks = [*self._jobs, *self._dials]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """End dials, jobs and pumps."""
        await self.drop_jobs()
        await self._bulk.close()


def _collect_commits(effects: Sequence[Effect]) -> list[Committed]:
    """What of the order is told behind the barrier: it becomes durable with its record."""
    return [
        effect.event
        for effect in effects
        if isinstance(effect, Emit) and isinstance(effect.event, Committed)
    ]
