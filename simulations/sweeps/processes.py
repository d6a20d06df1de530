"""Processes on this machine, each with one item at a time.

The pools of the standard library do not say over which item a process died, so that all that are
under way would be suspects; here each process has a pipe of its own, and only the item it held is
tried again. Processes are spawned, never forked: they begin clean, on every platform alike.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from pickle import PicklingError
from typing import Final, Generic, cast

from simulations.errors import SimulationError
from simulations.sweeps.engines import (
    DEATHS_MAX,
    Attempt,
    Failure,
    ItemT,
    ResultT,
    attempt,
    describe,
)

END_S: Final = 5.0
"""Patience with a process that was told to end, before it is killed."""
READY: Final = "ready"
"""The first word of every process: whoever dies before it does not die over an item."""


class Processes:
    """Worker processes; one that dies is replaced, and its item tried once more."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def map_tasks(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT]
    ) -> Generator[Attempt[ItemT, ResultT], None, None]:
        """See `Engine`. Raises `SimulationError` if processes do not start."""
        pool = _Pool(function, items, self._workers)
        try:
            yield from pool.run()
        finally:
            pool.end()


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Processes started inside are deaf to Ctrl-C for good: whoever started them ends them.

    A terminal sends Ctrl-C to all processes; theirs would be a traceback each.
    """
    # Started with the first process, it would let interrupts through again.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


@dataclass(slots=True)
class _Job(Generic[ItemT]):
    item: ItemT
    deaths: int = 0


class _Worker(Generic[ItemT, ResultT]):
    """A process, the pipe to it and what it is doing."""

    job: _Job[ItemT]

    def __init__(self, function: Callable[[ItemT], ResultT]) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, theirs), daemon=True)
        self.is_ready = False
        with hold_interrupts():
            self.process.start()
        theirs.close()

    def give(self, job: _Job[ItemT]) -> None:
        self.job = job
        with suppress(OSError):  # it is dead; its end of the pipe will say so
            self.connection.send(job.item)


class _Pool(Generic[ItemT, ResultT]):
    """The workers of one mapping."""

    def __init__(
        self, function: Callable[[ItemT], ResultT], items: Iterable[ItemT], workers_max: int
    ) -> None:
        self._function = function
        self._items = iter(items)
        self._again: deque[_Job[ItemT]] = deque()
        self._workers_max = workers_max
        self._workers: dict[Connection, _Worker[ItemT, ResultT]] = {}

    def run(self) -> Iterator[Attempt[ItemT, ResultT]]:
        while True:
            while len(self._workers) < self._workers_max and (job := self._take()):
                worker: _Worker[ItemT, ResultT] = _Worker(self._function)
                self._workers[worker.connection] = worker
                worker.give(job)
            if not self._workers:
                return
            for connection in cast("list[Connection]", wait(list(self._workers))):
                found = self._hear(self._workers[connection])
                if found is not None:
                    yield found

    def end(self) -> None:
        """Stop what runs."""
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in list(self._workers.values()):
            self._part(worker)

    def _take(self) -> _Job[ItemT] | None:
        if self._again:
            return self._again.popleft()
        for item in self._items:
            return _Job(item)
        return None

    def _hear(self, worker: _Worker[ItemT, ResultT]) -> Attempt[ItemT, ResultT] | None:
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace(worker)
        if not worker.is_ready:
            worker.is_ready = True
            return None
        found: Attempt[ItemT, ResultT] = Attempt(worker.job.item, message)
        following = self._take()
        if following is None:
            self._part(worker)
        else:
            worker.give(following)
        return found

    def _replace(self, worker: _Worker[ItemT, ResultT]) -> Attempt[ItemT, ResultT] | None:
        """Answer a failure if this was one death too many over the same item."""
        how = self._part(worker)
        if not worker.is_ready:
            raise SimulationError(
                f"worker processes do not start ({how})",
                hint="a script needs `if __name__ == '__main__':`; engine serial needs no processes",
            )
        job = worker.job
        job.deaths += 1
        if job.deaths < DEATHS_MAX:
            self._again.append(job)
            return None
        return Attempt(job.item, Failure(f"its process died {job.deaths} times ({how})"))

    def _part(self, worker: _Worker[ItemT, ResultT]) -> str:
        """See a process off; answers how it ended."""
        del self._workers[worker.connection]
        worker.connection.close()  # an idle process ends by this
        worker.process.join(END_S)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        code = worker.process.exitcode or 0
        worker.process.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def _serve(function: Callable[[ItemT], ResultT], connection: Connection) -> None:
    """What a worker process does, until nobody is at the other end."""
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(READY)
        while True:
            result = attempt(function, connection.recv())
            try:
                connection.send(result)
            except (PicklingError, TypeError, AttributeError) as error:
                connection.send(Failure(f"its result cannot be sent: {describe(error)}"))
