"""Runs an adapter as a process: lines come from standard input and go to standard output."""

from __future__ import annotations

import os
import selectors
import sys
import time
from collections.abc import Sequence
from typing import Final

from simulations.maelstrom.adapter import Adapter
from simulations.maelstrom.node import MeshNode
from simulations.maelstrom.protocol import LineSplitter

READ_BYTES: Final = 65_536
SEED_BYTES: Final = 32


class RealClock:
    """Wall-clock milliseconds that never go back."""

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def read_ms(self) -> int:
        """The time now."""
        return self._offset_ms + time.monotonic_ns() // 1_000_000


def make_real_node(name: str, names: Sequence[str], now_ms: int) -> MeshNode:
    """A node that checks every signature and draws real random numbers."""
    return MeshNode(name, names, now_ms=now_ms, seed=os.urandom(SEED_BYTES))


def serve(source: int, target: int) -> None:
    """Run one node over two file descriptors until the source ends."""
    adapter, clock, splitter = Adapter(make_real_node), RealClock(), LineSplitter()
    with selectors.PollSelector() as selector:  # epoll would refuse lines from a file
        selector.register(source, selectors.EVENT_READ)
        while True:
            if selector.select(_find_wait_s(adapter, clock.read_ms())):
                data = os.read(source, READ_BYTES)
                if not data:
                    return
                for line in splitter.feed(data):
                    ignored = adapter.receive(clock.read_ms(), line)
                    if ignored:
                        log(f"ignored: {ignored}")
            now_ms = clock.read_ms()
            if (due_ms := adapter.next_wakeup) is not None and due_ms <= now_ms:
                adapter.tick(now_ms)
            try:
                write_all(target, b"".join(adapter.take_lines(now_ms)))
            except BrokenPipeError:  # nobody listens any more: the test is over
                return


def _find_wait_s(adapter: Adapter, now_ms: int) -> float | None:
    due_ms = adapter.next_wakeup
    # A deadline that has passed comes a millisecond later, so that input is read in between.
    return None if due_ms is None else max(due_ms - now_ms, 1) / 1_000


def write_all(target: int, data: bytes) -> None:
    """Write, and wait until all of it is taken."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(target, rest) :]


def log(line: str) -> None:
    """Tell Maelstrom's log; standard output is for messages only."""
    sys.stderr.write(line + "\n")
