"""The one task that owns a core: takes inputs from the inbox, carries out what it answers.

A batch is what waits in the inbox, within bounds of count and time; its records become durable in
one transaction. There is one timer, for the core's next deadline. An error out of the core is a bug
of ours: the node stops at once, and the last inputs go to a file that reproduces it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from dag.vertex import SignedVertex
from meshnode.core.commands import Command, Connect, Leave, Publish, Serve
from meshnode.core.effects import RunJob, SignVertex
from meshnode.core.events import Event, Published, PublishFailed
from meshnode.core.inputs import Completed, Disconnected, Input, Outcome, Submitted, Ticked
from meshnode.errors import CommandRejected, DeadlineExceeded, MeshError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meshnode.core.effects import Effect
    from meshnode.core.node import Node
    from meshnode.shell.apply import Applier
    from meshnode.shell.clock import TimeSource
    from meshnode.shell.crash import CrashFile
    from meshnode.shell.inbox import Inbox
    from meshnode.shell.recording import Recorder
    from meshnode.shell.subscriptions import EventHub
    from meshnode.shell.telemetry import Telemetry

    BeginAnew = Callable[[], Awaitable[Node]]
    """Makes a core from what the journal holds now."""

BATCH_MAX: Final = 256
"""Inputs of one batch."""
BATCH_S: Final = 0.010
"""A batch takes no further input after this long, so that the loop stays responsive."""
STANDING_MAX: Final = 256
"""Commands kept for a core that is begun anew."""
LAST_INPUTS: Final = 256
"""Inputs kept for the crash file."""


@dataclass(slots=True, eq=False)
class _Request:
    """Somebody waits for the outcome of a command."""

    command: Command
    done: asyncio.Future[SignedVertex | None]
    published: bool
    """Whether it ends with `Published`, or as soon as the core has taken the command."""
    taken: bool = False
    """Whether the core has it: a core that is begun anew must be given it again."""


class Runner:
    """Owns the core. `run` until `stop`, or until something fails that must not."""

    def __init__(
        self,
        node: Node,
        *,
        clock: TimeSource,
        inbox: Inbox,
        hub: EventHub,
        telemetry: Telemetry,
        sign: Callable[[SignVertex], Outcome],
        crash: CrashFile,
        begin_anew: BeginAnew,
        recorder: Recorder | None = None,
    ) -> None:
        """`sign` signs at once, on the event loop; for what is urgent."""
        self._node = node
        self._sign = sign
        self._clock = clock
        self._inbox = inbox
        self._hub = hub
        self._telemetry = telemetry
        self._crash = crash
        self._begin_anew = begin_anew
        self._recorder = recorder
        self._life = 1
        """Counts the cores; a receipt for one that is gone is dropped."""
        self._standing: dict[str, Connect] = {}
        """Commands that stay in force: a core that is begun anew is given them again."""
        self._serves: tuple[Serve, ...] = ()
        """The last of its kind, as above."""
        self._requests: dict[int, _Request] = {}
        self._tokens = itertools.count(1)
        self._last: deque[Input] = deque(maxlen=LAST_INPUTS)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms: int | None = None
        self._quiet = asyncio.Event()
        self._started = asyncio.Event()
        self._stopping = False
        self._refusing = ""
        self._failure: BaseException | None = None

    @property
    def failure(self) -> BaseException | None:
        """Why the node stopped by itself, if it did."""
        return self._failure

    # --- for the application ---------------------------------------------------------------------

    async def submit(self, command: Command) -> None:
        """Hand a command to the core. Raises `CommandRejected`."""
        await self._request(command, published=False)

    async def publish(self, command: Publish, *, timeout_ms: int) -> SignedVertex:
        """Author a vertex; durable when this returns.

        Raises `CommandRejected`, or `DeadlineExceeded` when it is not durable in time (it may
        still become so).
        """
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                signed = await self._request(command, published=True)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the vertex was not published within {timeout_ms} ms",
                hint="after a start a node first asks its peers for its own last vertex",
            ) from None
        assert signed is not None
        return signed

    async def _request(self, command: Command, *, published: bool) -> SignedVertex | None:
        if self._refusing:
            raise CommandRejected(self._refusing)
        token = next(self._tokens)
        request = _Request(command, asyncio.get_running_loop().create_future(), published)
        self._requests[token] = request
        try:
            await self._inbox.put([lambda now: Submitted(now, token, command)])
            return await request.done
        finally:
            self._requests.pop(token, None)

    def leave(self, command: Leave) -> None:
        """Let the core say goodbye; the one command that is taken while others are refused."""
        self._inbox.put_now([lambda now: Submitted(now, 0, command)])

    def refuse_commands(self, reason: str) -> None:
        """From now on every command is rejected for this reason."""
        self._refusing = reason

    # --- what the applier reports ----------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """Settle who waits for it, and tell every subscriber."""
        if isinstance(event, Published):
            request = self._requests.get(event.token)
            if request is not None and not request.done.done():
                request.done.set_result(event.signed)
        elif isinstance(event, PublishFailed):
            request = self._requests.get(event.token)
            if request is not None and not request.done.done():
                request.done.set_exception(CommandRejected(event.reason))
        self._telemetry.note_event(event, self._clock.now_ms())
        self._hub.publish(event)

    def on_receipt(self, job: int, outcome: Outcome) -> None:
        """Give the core the receipt it waits for."""
        self._inbox.put_now([partial(self._make_receipt, self._life, job, outcome)])

    def _make_receipt(self, life: int, job: int, outcome: Outcome, now_ms: int) -> Input:
        return Completed(now_ms, job, outcome) if life == self._life else Ticked(now_ms)

    def on_restart(self, reason: str) -> None:
        """Count it; the loop begins the core anew when the batch has been carried out."""
        self._telemetry.count(f"restarts_{reason}")

    def on_failure(self, error: BaseException) -> None:
        """Stop: something failed that must not."""
        self._failure = self._failure or error
        self.stop()

    # --- the loop --------------------------------------------------------------------------------

    async def run(self, applier: Applier) -> None:
        """Run the core until `stop`. Whatever ends it otherwise is in `failure`, never raised."""
        try:
            await self._start(applier)
            while not self._stopping:
                await self._inbox.wait()
                await self._run_batch(applier)
                await asyncio.sleep(0)  # a full inbox must not keep the loop from everybody else
        except Exception as error:  # noqa: BLE001  # whatever it is, the node stops and says so
            self._failure = self._failure or error
            if not isinstance(error, MeshError):
                await self._crash.write(error, self._last)
        finally:
            self._end()

    async def _start(self, applier: Applier) -> None:
        now_ms = self._clock.now_ms()
        effects = self._node.start(now_ms)
        if self._recorder is not None:
            self._recorder.add_start(now_ms, effects)
            await self._recorder.flush()
        await self._finish_batch(applier, effects)
        self._started.set()

    async def wait_started(self) -> None:
        """Until the core has started. Raises what kept it from starting."""
        await self._started.wait()
        if self._failure is not None:
            raise self._failure

    async def _run_batch(self, applier: Applier) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + BATCH_S
        now_ms = self._clock.now_ms()
        effects: list[Effect] = []
        for taken in range(BATCH_MAX):
            stamp = self._inbox.take()
            if stamp is None:
                break
            entry = stamp(now_ms)
            effects += self._handle(entry)
            if isinstance(entry, Disconnected) or self._node.is_over:
                break  # what was said to it goes nowhere, before a next connection is known
            if taken % 8 == 0 and loop.time() > until_s:
                break
        deadline_ms = self._node.next_wakeup
        if deadline_ms is not None and deadline_ms <= now_ms and not self._node.is_over:
            effects += self._handle(Ticked(now_ms))
        self._telemetry.count("batches")
        self._inbox.release()
        if self._recorder is not None:
            await self._recorder.flush()
        await self._finish_batch(applier, effects)
        if self._node.is_over:
            await self._renew(applier)

    async def _renew(self, applier: Applier) -> None:
        """Begin a new core from the journal, and give it what the old one had been told to do."""
        await applier.drop_jobs()
        self._life += 1
        self._recorder = None  # a recording is of one life
        self._node = await self._begin_anew()
        standing: list[Command] = [*self._standing.values(), *self._serves]
        again = [partial(_submit, token=0, command=command) for command in standing]
        for token, request in self._requests.items():
            if request.taken and not request.done.done():
                again.append(partial(_submit, token=token, command=request.command))
        await self._start(applier)
        self._inbox.put_now(again)

    async def _finish_batch(self, applier: Applier, effects: Sequence[Effect]) -> None:
        self._arm_timer()
        await applier.apply(effects)
        waiting = any(not request.done.done() for request in self._requests.values())
        if not len(self._inbox) and not applier.jobs and not waiting:
            self._quiet.set()
        else:
            self._quiet.clear()

    def _handle(self, entry: Input) -> list[Effect]:
        """Give the core an input, and its signature to what everybody waits for.

        On a thread that would wait behind what is being verified, and then for a transaction of its
        own: so it is durable with its batch. One at a time: what follows of it goes the usual way.
        """
        effects = self._take(entry)
        for position, effect in enumerate(effects):
            match effect:
                case RunJob(job, SignVertex(urgent=True) as work) if not self._node.is_over:
                    receipt = Completed(entry.now_ms, job, self._sign(work))
                    return effects[:position] + effects[position + 1 :] + self._take(receipt)
        return effects

    def _take(self, entry: Input) -> list[Effect]:
        self._last.append(entry)
        try:
            effects = self._node.handle(entry)
        except CommandRejected as error:
            assert isinstance(entry, Submitted), "the core rejects nothing but commands"
            if self._recorder is not None:
                self._recorder.add_rejection(entry, str(error))
            self._settle(entry.token, error)
            return []
        if self._recorder is not None:
            self._recorder.add(entry, effects)
        if isinstance(entry, Submitted):
            self._note_taken(entry)
            self._settle(entry.token, None)
        return effects

    def _note_taken(self, entry: Submitted) -> None:
        request, command = self._requests.get(entry.token), entry.command
        if request is not None:
            request.taken = True
        if isinstance(command, Serve):
            self._serves = (command,)
        elif isinstance(command, Connect):
            self._standing.pop(command.peer, None)
            self._standing[command.peer] = command
            if len(self._standing) > STANDING_MAX:
                del self._standing[next(iter(self._standing))]

    def _settle(self, token: int, error: CommandRejected | None) -> None:
        """The core has taken or refused a command; a `Published` may still have to follow."""
        request = self._requests.get(token)
        if request is None or request.done.done():
            return
        if error is not None:
            request.done.set_exception(error)
        elif not request.published:
            request.done.set_result(None)

    def _arm_timer(self) -> None:
        deadline_ms = self._node.next_wakeup
        if deadline_ms == self._timer_ms and self._timer is not None:
            return
        self._disarm_timer()
        if deadline_ms is not None:
            delay_s = max(0, deadline_ms - self._clock.now_ms()) / 1_000
            self._timer_ms = deadline_ms
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _disarm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_ms = None

    def _fire(self) -> None:
        self._timer = self._timer_ms = None
        self._inbox.wake()

    # --- the end ---------------------------------------------------------------------------------

    async def drain(self, timeout_ms: int) -> bool:
        """Wait until nothing is under way; False when that took longer than allowed."""
        if self._stopping:
            return False
        self._quiet.clear()
        self._inbox.wake()
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return not self._stopping

    def stop(self) -> None:
        """End `run` after the batch it is in."""
        self._stopping = True
        self._quiet.set()
        self._inbox.wake()

    def _end(self) -> None:
        self._stopping = True
        self._disarm_timer()
        self._inbox.close()
        self._quiet.set()
        self._started.set()
        self.refuse_commands(
            "the node has stopped; what was not acknowledged may not have happened"
        )
        for request in self._requests.values():
            if not request.done.done():
                request.done.set_exception(self._failure or CommandRejected(self._refusing))
        self._requests.clear()
        self._hub.end(self._failure)


def _submit(now_ms: int, *, token: int, command: Command) -> Submitted:
    return Submitted(now_ms, token, command)
