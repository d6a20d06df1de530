"""What benchmarks share: worker processes, clocks, quantiles, and who measured where.

A worker is one real process that runs one peer. The parent talks to it over a pipe: it brings all
peers up, connects them, and gives all of them the same load at once. Times are `time.monotonic`,
which on Linux is one clock for all processes of a machine; CPU is user + system time of a process.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

_UTIME, _STIME = 11, 12
"""Fields of /proc/PID/task/TID/stat, counted behind the name."""
ANSWER_S = 120.0
"""A worker that says nothing for this long beyond its load's own bound has failed."""


def cpu_s() -> float:
    """User and system time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_by_thread_s() -> dict[str, float]:
    """User and system time of this process's Python threads, by name; those of a pool together.

    Empty where the system does not tell.
    """
    used: dict[str, float] = {}
    for thread in threading.enumerate():
        told = Path(f"/proc/self/task/{thread.native_id}/stat")
        if told.exists():
            fields = told.read_text().rpartition(")")[2].split()
            ticks = int(fields[_UTIME]) + int(fields[_STIME])
            name = thread.name.rstrip("0123456789").rstrip("_-")
            used[name] = used.get(name, 0.0) + ticks / os.sysconf("SC_CLK_TCK")
    return used


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies, NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def describe_machine() -> dict[str, object]:
    """What figures depend on besides the code."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def describe_revision() -> str:
    """The commit that was measured, with `+` behind it when files had changed."""
    root = Path(__file__).parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ("git", "-C", str(root), *arguments), capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short=12", "HEAD")
    return f"{commit}+" if commit and git("status", "--porcelain", "-uno") else commit or "unknown"


@dataclass(frozen=True, slots=True)
class Load:
    """What every peer publishes at the same time.

    With `interval_s` 0 a peer publishes as fast as it may, with `window` messages under way;
    otherwise one message each `interval_s`, beginning `offset_s` after `begin_s`.
    """

    count: int
    expected: int
    """Messages each peer must hold in the end, counted from its start."""
    begin_s: float
    timeout_s: float
    window: int = 0
    interval_s: float = 0.0
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Counters of a process since its start."""

    cpu_s: float
    sent_bytes: int
    """Handed to TCP: everything but its own headers."""
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """When a peer published and held messages, by message id."""

    published: dict[bytes, float]
    sizes: dict[bytes, int]
    held: dict[bytes, float]


class Peer(Protocol):
    """One peer as a worker runs it, in whichever event loop it lives."""

    @property
    def address(self) -> Any:
        """What others connect to."""

    async def connect(self, addresses: Sequence[Any]) -> None:
        """Connect to every other peer; returns when all stand."""

    async def run(self, load: Load) -> Report:
        """Publish, and return when everything expected is held, or time is up."""

    def sample(self) -> Sample:
        """Counters of this process."""

    async def calibrate(self) -> float:
        """Seconds of CPU the signature work of one message costs in all peers together."""


async def serve(peer: Peer, pipe: Connection, in_thread: Callable[..., Awaitable[Any]]) -> None:
    """Do what the parent asks until it asks no more; the peer's event loop never waits for it."""
    await in_thread(pipe.send, peer.address)
    while (command := await in_thread(pipe.recv)) is not None:
        answer: object = "connected"
        match command:
            case Load():
                answer = await peer.run(command)
            case "sample":
                answer = peer.sample()
            case "calibrate":
                answer = await peer.calibrate()
            case addresses:
                await peer.connect(addresses)
        await in_thread(pipe.send, answer)


class Workers:
    """Processes that run one peer each."""

    def __init__(self, main: Callable[..., None], configs: Sequence[object]) -> None:
        self._main = main
        self._configs = configs
        self._pipes: list[Connection] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        try:
            for config in self._configs:
                near, far = context.Pipe()
                process = context.Process(target=self._main, args=(far, config), daemon=True)
                process.start()
                far.close()
                self._pipes.append(near)
                self._stack.callback(_end, process, near)
            addresses = self.receive()
            self.ask(*[[*addresses[:n], *addresses[n + 1 :]] for n in range(len(addresses))])
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._pipes)

    def ask(self, *commands: object, timeout_s: float = 0.0) -> list[Any]:
        """Give every worker its command (or all the same one), and collect the answers."""
        each = commands if len(commands) > 1 else commands * len(self._pipes)
        for pipe, command in zip(self._pipes, each, strict=True):
            pipe.send(command)
        return self.receive(timeout_s)

    def receive(self, timeout_s: float = 0.0) -> list[Any]:
        """One answer of each worker."""
        answers = []
        until_s = time.monotonic() + ANSWER_S + timeout_s
        for number, pipe in enumerate(self._pipes):
            if not pipe.poll(max(0.0, until_s - time.monotonic())):
                raise TimeoutError(f"worker {number} gave no answer")
            try:
                answers.append(pipe.recv())
            except EOFError:
                raise RuntimeError(f"worker {number} has ended; see its traceback") from None
        return answers


def _end(process: Any, pipe: Connection) -> None:
    with suppress(OSError):  # a worker that has ended cannot be told to
        pipe.send(None)
    pipe.close()
    process.join(20)
    if process.is_alive():
        process.kill()
        process.join()
