"""Minimal nodes: textbook behaviours whose results are known, for oracles, speed and first steps.

Each is a `Process` of a few lines, with a function that runs it and answers what came of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from simulations.kernel import NS_PER_MS, Kernel
from simulations.network import NetworkSettings
from simulations.processor import Flow, Processor
from simulations.streams import Streams
from simulations.world import World

if TYPE_CHECKING:
    import random

    from simulations.latency import Latency
    from simulations.process import Context
    from simulations.topology import Topology

NS_PER_S: Final = 1_000_000_000
ARRIVES: Final = 0
SERVED: Final = 1


# --- flooding ------------------------------------------------------------------------------------


class FloodNode:
    """Forwards what it has not seen to every neighbour but the one it came from.

    With `pause_ms` it sends to one neighbour after the other, that far apart, in random order, and
    spares those from which the message has come meanwhile.
    """

    __slots__ = ("_heard", "_queue", "held_ns", "pause_ms", "receptions", "size_bytes", "wait_ms")

    def __init__(self, size_bytes: int = 0, *, wait_ms: float = 0.0, pause_ms: float = 0.0) -> None:
        self.size_bytes = size_bytes
        self.wait_ms = wait_ms
        """Time to check a message before it is forwarded."""
        self.pause_ms = pause_ms
        self.held_ns: int | None = None
        """When the message came first."""
        self.receptions = 0
        self._heard: dict[int, None] = {}
        self._queue: list[int] = []

    def originate(self, context: Context) -> None:
        """Be the first to have it."""
        self.held_ns = context.now_ns
        self._forward(context)

    def on_start(self, context: Context) -> None:
        """See `Process`."""

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`."""
        del message
        self.receptions += 1
        self._heard[source] = None
        if self.held_ns is not None:
            return
        self.held_ns = context.now_ns
        if self.wait_ms:
            context.set_timer("forward", self.wait_ms)
        else:
            self._forward(context)

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""
        if name == "forward":
            self._forward(context)
        else:
            self._send_next(context)

    def _forward(self, context: Context) -> None:
        if not self.pause_ms:
            for target in context.neighbours:
                if target not in self._heard:
                    context.send(target, None, self.size_bytes)
            return
        self._queue = list(context.neighbours)
        context.random.shuffle(self._queue)
        self._send_next(context)

    def _send_next(self, context: Context) -> None:
        while self._queue:
            target = self._queue.pop()
            if target not in self._heard:
                context.send(target, None, self.size_bytes)
                context.set_timer("next", self.pause_ms)
                return


@dataclass(frozen=True, slots=True)
class FloodResult:
    """What became of one flooded message."""

    covered: int
    """Nodes that have it, the origin included."""
    receptions: int
    delays_ms: tuple[float, ...]
    """Ascending, of every node but the origin."""


def run_flood(
    seed: int,
    topology: Topology,
    network: NetworkSettings,
    *,
    origin: int = 0,
    size_bytes: int = 0,
    wait_ms: float = 0.0,
) -> FloodResult:
    """Flood one message from an origin; where bandwidth is bounded, one neighbour at a time."""
    world = World(seed, network=network, traced=False)
    rate_bps = network.uplink_bps
    pause_ms = size_bytes * 8 / rate_bps * 1_000 if rate_bps else 0.0
    nodes = [FloodNode(size_bytes, wait_ms=wait_ms, pause_ms=pause_ms) for _ in topology]
    contexts = world.add_processes(nodes, topology)
    nodes[origin].originate(contexts[origin])
    world.run_to_end()
    held = [node.held_ns for node in nodes if node.held_ns is not None]
    return FloodResult(
        covered=len(held),
        receptions=sum(node.receptions for node in nodes),
        delays_ms=tuple(sorted(time_ns / NS_PER_MS for time_ns in held)[1:]),
    )


# --- rumours -------------------------------------------------------------------------------------


class InfectAndDieNode:
    """Tells a few others, drawn from all, once: when it first hears."""

    __slots__ = ("_count", "_fanout", "heard")

    def __init__(self, count: int, fanout: int) -> None:
        self._count = count
        self._fanout = fanout
        self.heard = False

    def on_start(self, context: Context) -> None:
        """See `Process`."""

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`."""
        del source, message
        self.tell(context)

    def tell(self, context: Context) -> None:
        """Hear it, and tell it on."""
        if self.heard:
            return
        self.heard = True
        for drawn in context.random.sample(range(self._count - 1), self._fanout):
            context.send(drawn + (drawn >= context.index), None)

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""


def run_infect_and_die(seed: int, count: int, fanout: int, *, origins: int = 1) -> float:
    """The share of nodes that hear a rumour which a few origins tell."""
    world = World(seed, traced=False)
    nodes = [InfectAndDieNode(count, fanout) for _ in range(count)]
    contexts = world.add_processes(nodes)
    for origin in range(origins):
        nodes[origin].tell(contexts[origin])
    world.run_to_end()
    return sum(node.heard for node in nodes) / count


class RoundsNode:
    """Calls one other node, drawn from all, every round; what it learns counts from the next."""

    __slots__ = ("_count", "_informed", "_learned", "_pulls")

    def __init__(self, count: int, *, pulls: bool, informed: bool) -> None:
        self._count = count
        self._pulls = pulls
        self._informed = informed
        self._learned = informed

    @property
    def is_informed(self) -> bool:
        """Whether it knows by now."""
        return self._learned

    def on_start(self, context: Context) -> None:
        """See `Process`."""
        context.set_timer("round", ROUND_MS)

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""
        del name
        self._informed = self._learned
        if self._informed or self._pulls:
            drawn = int(context.random.random() * (self._count - 1))
            context.send(drawn + (drawn >= context.index), ("call", self._informed))
        context.set_timer("round", ROUND_MS)

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`."""
        what, informed = message
        if informed:
            self._learned = True
        if what == "call" and self._pulls and self._informed and not informed:
            context.send(source, ("answer", True))


ROUND_MS: Final = 1_000


def run_rounds(seed: int, count: int, *, pulls: bool) -> int:
    """Rounds until everybody knows, beginning with one; push only, or push and pull."""
    world = World(seed, network=NetworkSettings(), traced=False)
    nodes = [RoundsNode(count, pulls=pulls, informed=n == 0) for n in range(count)]
    world.add_processes(nodes)
    rounds = 0
    world.run_for(ROUND_MS / 2)
    while not all(node.is_informed for node in nodes):
        world.run_for(ROUND_MS)
        rounds += 1
    return rounds


class EpidemicNode:
    """Once infected, meets others at random times of a Poisson process, and infects them."""

    __slots__ = ("_count", "_rate_per_s", "infected_ns")

    def __init__(self, count: int, rate_per_s: float) -> None:
        self._count = count
        self._rate_per_s = rate_per_s
        self.infected_ns: int | None = None

    def on_start(self, context: Context) -> None:
        """See `Process`."""

    def infect(self, context: Context) -> None:
        """Fall ill, if it is not yet."""
        if self.infected_ns is None:
            self.infected_ns = context.now_ns
            self._meet_later(context)

    def on_message(self, context: Context, source: int, message: Any) -> None:
        """See `Process`."""
        del source, message
        self.infect(context)

    def on_timer(self, context: Context, name: str) -> None:
        """See `Process`."""
        del name
        drawn = int(context.random.random() * (self._count - 1))
        context.send(drawn + (drawn >= context.index), None)
        self._meet_later(context)

    def _meet_later(self, context: Context) -> None:
        context.set_timer("meet", context.random.expovariate(self._rate_per_s) * 1_000)


def run_epidemic(
    seed: int, count: int, *, latency: Latency, rate_per_s: float = 1.0
) -> tuple[float, ...]:
    """When, in seconds, the first, second ... and last node was infected."""
    world = World(seed, network=NetworkSettings(latency=latency), traced=False)
    nodes = [EpidemicNode(count, rate_per_s) for _ in range(count)]
    contexts = world.add_processes(nodes)
    nodes[0].infect(contexts[0])
    while any(node.infected_ns is None for node in nodes):
        world.run_for(100)
    times_ns = [node.infected_ns for node in nodes if node.infected_ns is not None]
    return tuple(time_ns / NS_PER_S for time_ns in sorted(times_ns))


# --- queues --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueResult:
    """What customers of a queue met with."""

    customers: int
    time_in_system_s: float
    """Mean of waiting and service."""
    flow: Flow


class _Queue:
    """Poisson arrivals at a processor with exponential service of mean 1 s."""

    def __init__(self, kernel: Kernel, streams: Streams, load: float, customers: int) -> None:
        self._kernel = kernel
        self._arrivals = streams.get("arrivals")
        self._services = streams.get("services")
        self._load = load
        self._left = customers
        self.processor = Processor(kernel, 0, SERVED)
        kernel.register(0, self.handle)
        self.arrive_later()

    def arrive_later(self) -> None:
        if self._left:
            self._left -= 1
            wait_ns = int(self._arrivals.expovariate(self._load) * NS_PER_S)
            self._kernel.schedule(self._kernel.now_ns + wait_ns, 0, ARRIVES)

    def handle(self, kind: int, payload: Any) -> None:
        if kind == ARRIVES:
            self.processor.submit(int(self._services.expovariate(1.0) * NS_PER_S), None)
            self.arrive_later()
        else:
            self.processor.finish(payload)


def run_queue(seed: int, load: float, customers: int) -> QueueResult:
    """An M/M/1 queue of service rate 1 per second, from empty to empty."""
    kernel = Kernel(traced=False)
    queue = _Queue(kernel, Streams(seed), load, customers)
    while kernel.next_ns is not None:
        kernel.run(kernel.next_ns + NS_PER_S)
    flow = queue.processor.flow
    return QueueResult(flow.served, flow.stayed_ns / flow.served / NS_PER_S, flow)


def throw_balls(stream: random.Random, bins: int, choices: int) -> int:
    """Throw as many balls as bins, each into the emptiest of a few drawn; the fullest bin's load."""
    loads = [0] * bins
    for _ in range(bins):
        drawn: Sequence[int] = [int(stream.random() * bins) for _ in range(choices)]
        best = min(drawn, key=loads.__getitem__)
        loads[best] += 1
    return max(loads)
