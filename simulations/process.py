"""Own node behaviours: a process gets messages and timers, and acts through its context.

class Echo:
    def on_start(self, context): ...
    def on_message(self, context, source, message): context.send(source, message)
    def on_timer(self, context, name): ...

world.add_processes([Echo() for _ in range(100)], topology=random_regular(100, 8, seed=1))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from simulations.kernel import NS_PER_MS, Timer
from simulations.network import ARRIVAL
from simulations.processor import Processor

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from simulations.kernel import Kernel
    from simulations.network import Network
    from simulations.streams import Streams

TIMER: Final = 2
START: Final = 3
SERVED: Final = 4


class Process(Protocol):
    """A node behaviour. It keeps its state to itself, and draws from `context.random` only."""

    def on_start(self, context: Context) -> None:
        """Virtual time begins for this node."""

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """A message has arrived. It is shared with others: never change it."""

    def on_timer(self, context: Context, name: str) -> None:
        """A timer set under this name is due."""


class Context:
    """A node's place in the world: who it is, and all it can do."""

    __slots__ = (
        "_kernel",
        "_network",
        "_random",
        "_streams",
        "_timers",
        "cost_ns",
        "index",
        "is_up",
        "neighbours",
        "process",
        "processor",
    )

    def __init__(
        self,
        index: int,
        process: Process,
        neighbours: Sequence[int],
        *,
        kernel: Kernel,
        network: Network,
        streams: Streams,
        cost_ns: int = 0,
    ) -> None:
        self.index = index
        self.process = process
        self.neighbours = neighbours
        """Ascending, and without this node."""
        self.cost_ns = cost_ns
        """CPU time one message takes."""
        self.is_up = True
        self.processor = Processor(kernel, index, SERVED) if cost_ns else None
        self._kernel = kernel
        self._network = network
        self._streams = streams
        self._random: random.Random | None = None
        self._timers: dict[str, Timer] | None = None

    @property
    def now_ns(self) -> int:
        """Virtual time."""
        return self._kernel.now_ns

    @property
    def now_ms(self) -> int:
        """Virtual time in whole milliseconds."""
        return self._kernel.now_ns // NS_PER_MS

    @property
    def random(self) -> random.Random:
        """This node's own stream."""
        if self._random is None:  # 2.9 KB each, so only for those who draw
            self._random = self._streams.get(f"process {self.index}")
        return self._random

    def send(self, target: int, message: object, size_bytes: int = 0) -> None:
        """Send to any node, a neighbour or not."""
        self._network.send(self.index, target, message, size_bytes)

    def send_all(self, message: object, size_bytes: int = 0, *, but: int = -1) -> None:
        """Send to every neighbour, except one."""
        for target in self.neighbours:
            if target != but:
                self._network.send(self.index, target, message, size_bytes)

    def set_timer(self, name: str, delay_ms: float) -> None:
        """Be called after a delay; a timer of this name that was set before is moved."""
        if self._timers is None:
            self._timers = {}
        timer = self._timers.get(name)
        if timer is None:
            timer = self._timers[name] = Timer(self._kernel, self.index, TIMER, name)
        timer.set(self._kernel.now_ns + int(delay_ms * NS_PER_MS))

    def cancel_timer(self, name: str) -> None:
        """Do not be called."""
        if self._timers is not None and name in self._timers:
            self._timers[name].cancel()

    # --- for the world --------------------------------------------------------------------------

    def stop(self) -> None:
        """Take nothing any more."""
        self.is_up = False

    def handle(self, kind: int, payload: Any) -> None:
        """Take an event of the kernel."""
        if kind == ARRIVAL:
            self._network.land(taken=self.is_up)
            if self.is_up:
                self._arrive(payload)
        elif not self.is_up:
            return
        elif kind == SERVED:
            assert self.processor is not None, "only a processor ends work"
            source, message = self.processor.finish(payload)
            self.process.on_message(self, source, message)
        elif kind == TIMER:
            name, generation = payload
            assert self._timers is not None, "a timer that fires was set"
            if self._timers[name].fires(generation):
                self.process.on_timer(self, name)
        else:
            assert kind == START, f"unknown kind of event {kind}"
            self.process.on_start(self)

    def _arrive(self, payload: tuple[int, Any]) -> None:
        if self.processor is None:
            self.process.on_message(self, payload[0], payload[1])
        else:
            self.processor.submit(self.cost_ns, payload)
