"""Drives a test in real time: one process for each node, lines through pipes.

Nothing here waits for one process while another could be served: pipes that are full are written
later, so a node that is slow to read holds up nobody.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from simulations.errors import SimulationError
from simulations.maelstrom.protocol import LineSplitter
from simulations.maelstrom.stdio import READ_BYTES, RealClock
from simulations.maelstrom.trial import Tell, Trial, say_nothing

if TYPE_CHECKING:
    from simulations.maelstrom.plan import Plan

OWN_NODE: Final = (sys.executable, "-m", "simulations.maelstrom")
BACKLOG_BYTES_MAX: Final = 64 << 20
"""Lines that wait for one process; beyond this it has stopped reading."""
LOG_BYTES_MAX: Final = 4_096
"""What is kept of the end of a process's standard error."""
WAIT_MS_MAX: Final = 1_000
END_TIMEOUT_S: Final = 5.0


class NodeGone(SimulationError):
    """A program ended by itself, or stopped reading."""

    code = "node_gone"


class _Program:
    """One node's process and its pipes."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.splitter = LineSplitter()
        self.backlog = bytearray()
        self._log = b""
        try:
            self.process = subprocess.Popen(  # noqa: S603 - what the user wants tested
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            raise SimulationError(
                f"{command[0]} cannot be started: {error.strerror}", hint="see --bin"
            ) from error
        pipes = (self.process.stdin, self.process.stdout, self.process.stderr)
        self.stdin, self.stdout, self.stderr = (_get_pipe(pipe).fileno() for pipe in pipes)
        for descriptor in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(descriptor, False)

    def read(self) -> list[bytes]:
        """The lines it has written. Raises `NodeGone` at their end."""
        data = os.read(self.stdout, READ_BYTES)
        if not data:
            raise self._make_gone("ended by itself")
        return self.splitter.feed(data)

    def read_log(self) -> bool:
        """Keep what it has logged; False once there is no more."""
        data = os.read(self.stderr, READ_BYTES)
        self._log = (self._log + data)[-LOG_BYTES_MAX:]
        return bool(data)

    def queue(self, line: bytes) -> None:
        """Let it read a line, soon. Raises `NodeGone`."""
        self.backlog += line if line.endswith(b"\n") else line + b"\n"
        if len(self.backlog) > BACKLOG_BYTES_MAX:
            raise self._make_gone("does not read")

    def write(self) -> None:
        """Write as much as it takes now. Raises `NodeGone`."""
        try:
            del self.backlog[: os.write(self.stdin, self.backlog)]
        except BlockingIOError:
            return
        except BrokenPipeError as error:
            raise self._make_gone("ended by itself") from error

    def _make_gone(self, what: str) -> NodeGone:
        with suppress(BlockingIOError):
            self.read_log()
        logged = self._log.decode(errors="replace").strip().splitlines()
        return NodeGone(
            f"{self.name} {what}" + (f"; its last words: {logged[-1]}" if logged else ""),
            hint="run the program by hand, and give it a line",
        )

    def close(self) -> None:
        """Close its input, at whose end a node ends."""
        _get_pipe(self.process.stdin).close()

    def end(self, until_s: float) -> None:
        """Wait for its end, and kill it if it is late."""
        with self.process as process:
            try:
                process.wait(max(until_s - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()


def _get_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "all three are pipes"
    return pipe


class RealRun:
    """A test and its processes, for use in a `with` block, which ends them."""

    def __init__(
        self, plan: Plan, command: Sequence[str] = OWN_NODE, tell: Tell = say_nothing
    ) -> None:
        """Start the processes. Raises `SimulationError`.

        Args:
            plan: What to run.
            command: The program of a node, and its arguments.
            tell: See `Trial`.
        """
        self._clock = RealClock()
        self._selector = selectors.DefaultSelector()
        self._programs: dict[str, _Program] = {}
        try:
            for name in plan.names:
                self._start(_Program(name, command))
        except SimulationError:
            self._end()
            raise
        self.trial = Trial(plan, self._clock.read_ms(), tell)

    def _start(self, program: _Program) -> None:
        self._programs[program.name] = program
        self._selector.register(program.stdout, selectors.EVENT_READ, (program, "stdout"))
        self._selector.register(program.stderr, selectors.EVENT_READ, (program, "stderr"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._selector.close()
        until_s = time.monotonic() + END_TIMEOUT_S
        for program in self._programs.values():
            program.close()
        for program in self._programs.values():
            program.end(until_s)

    def run(self) -> Trial:
        """Run to the end. Raises `NodeGone`, `WrongAnswer` and `Unreached`."""
        while not self.trial.is_over:
            self.step()
        return self.trial

    def step(self) -> None:
        """Serve what is ready, and do what is due; waits a second at most."""
        trial = self.trial
        for name, line in trial.take_lines(self._clock.read_ms()):
            program = self._programs[name]
            if not program.backlog:
                self._selector.register(program.stdin, selectors.EVENT_WRITE, (program, "stdin"))
            program.queue(line)
        due_ms = trial.next_wakeup
        now_ms = self._clock.read_ms()
        wait_ms = WAIT_MS_MAX if due_ms is None else min(max(due_ms - now_ms, 0), WAIT_MS_MAX)
        for key, _ in self._selector.select(wait_ms / 1_000):
            program, pipe = key.data
            self._serve(program, pipe)
        trial.tick(self._clock.read_ms())

    def _serve(self, program: _Program, pipe: str) -> None:
        if pipe == "stdin":
            program.write()
            if not program.backlog:
                self._selector.unregister(program.stdin)
        elif pipe == "stderr":
            if not program.read_log():
                self._selector.unregister(program.stderr)
        else:
            for line in program.read():
                self.trial.receive(self._clock.read_ms(), program.name, line)
