"""How fast, how completely and in how many copies vertices spread through a simulated mesh.

    spread = Spread(nodes=200, silent=0.2)
    spread.form()
    spread.load(per_second=20, seconds=10)
    spread.report()

Real cores and real messages over links of 10 to 50 ms with an uplink of 20 Mbit/s. A share of the
nodes may be *silent*, who take and answer pings but pass nothing on and serve nothing, or *lying*,
who announce what they have and serve none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from meshnode.core.events import Published, VertexAdmitted
from meshnode.core.messages import Heads, IHave, Items, Message, Push
from meshnode.core.settings import Limits, Timing
from simulations import World
from simulations.kernel import NS_PER_MS
from simulations.latency import Uniform
from simulations.network import NetworkSettings
from simulations.observers import Observer
from tests.support.aged_mesh import add_aged_mesh

if TYPE_CHECKING:
    from meshnode.core.events import Event
    from simulations.host import Host

UPLINK_BPS = 20_000_000
BODY_BYTES = 4_500
SETTLE_MS = 30_000
"""Anti-entropy closes within this whatever dissemination has left open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a load has shown, of honest nodes only."""

    vertices: int
    coverage: float
    copies: float
    """Of each vertex, received by each node."""
    p50_ms: int
    p99_ms: int
    last_ms: int
    control_bytes: float
    """Per vertex and node, whatever carries no vertex."""

    def __str__(self) -> str:
        return (
            f"coverage {self.coverage:.5f}, copies {self.copies:.3f}, p50 {self.p50_ms} ms, "
            f"p99 {self.p99_ms} ms, last {self.last_ms} ms, {self.vertices} vertices, "
            f"{self.control_bytes:.0f} control bytes per vertex and node"
        )


class _Watch(Observer):
    """Notes when each vertex is published and admitted, and what is sent."""

    def __init__(self, dishonest: dict[int, None]) -> None:
        self.dishonest = dishonest
        self.published: dict[bytes, int] = {}
        self.delays: list[int] = []
        self.copies: Counter[bytes] = Counter()
        self.control_bytes = 0
        self.is_on = False
        self.planned = 0
        """Vertices of the loads that are measured."""

    def on_fact(self, host: Host, event: Event) -> None:
        if not self.is_on or not isinstance(event, Published | VertexAdmitted):
            return
        now_ns = host.world.kernel.now_ns
        wire = event.signed.wire
        if isinstance(event, Published):
            self.published[wire] = now_ns
        elif event.source and wire in self.published and host.index not in self.dishonest:
            self.delays.append((now_ns - self.published[wire]) // NS_PER_MS)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        del host
        if not self.is_on or target in self.dishonest:
            return
        if isinstance(message, Push | Items):
            self.copies.update(message.vertices)
        else:
            self.control_bytes += size_bytes


def _stay_silent(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Push | IHave | Items | Heads) else (message,)


def _lie(_host: Host, _peer: str, message: Message) -> Sequence[Message]:
    return () if isinstance(message, Push | Items) else (message,)


class Spread:
    """One mesh under load."""

    def __init__(
        self,
        nodes: int,
        *,
        seed: int = 1,
        silent: float = 0.0,
        lying: float = 0.0,
        limits: Limits | None = None,
        timing: Timing | None = None,
        aged: bool = False,
    ) -> None:
        """With `aged` all have joined long ago (`tests.support.aged_mesh`), else they join now."""
        network = NetworkSettings(latency=Uniform(10.0, 50.0), uplink_bps=UPLINK_BPS)
        self.world = World(seed, fidelity="objects", network=network, traced=False)
        make = partial(add_aged_mesh, self.world) if aged else self.world.add_mesh
        self.mesh = make(nodes, limits=limits, timing=timing)
        order = list(range(nodes))
        self.stream = self.world.streams.get("spread")
        self.stream.shuffle(order)
        silent_count, lying_count = round(silent * nodes), round(lying * nodes)
        self.silent = [self.mesh[n] for n in order[:silent_count]]
        self.lying = [self.mesh[n] for n in order[silent_count : silent_count + lying_count]]
        self.watch = _Watch({host.index: None for host in (*self.silent, *self.lying)})
        self.world.add_observer(self.watch)
        self.honest = [host for host in self.mesh if host.index not in self.watch.dishonest]

    @property
    def is_connected(self) -> bool:
        """Whether the ready connections lead from every node to every other."""
        near = {host.name: host.core.get_ready_peers() for host in self.mesh.up}
        seen = dict.fromkeys(list(near)[:1])
        rest = list(seen)
        while rest:
            for peer in near[rest.pop()]:
                if peer in near and peer not in seen:
                    seen[peer] = None
                    rest.append(peer)
        return len(seen) == len(near)

    def form(self, limit_ms: int = 60_000) -> int:
        """Let the mesh come up and agree, then let its faulty nodes begin; answers how long."""
        took_ms = self.world.run_until(lambda: self.is_connected and self.mesh.converged, limit_ms)
        for host in self.silent:
            host.mutator = _stay_silent
        for host in self.lying:
            host.mutator = _lie
        return took_ms

    def load(self, per_second: float, seconds: float, *, measured: bool = True) -> None:
        """Let honest nodes publish at this rate; `measured` or only to let the tree settle."""
        self.watch.is_on = measured
        start_ms = self.world.now_ms
        count = round(per_second * seconds)
        self.watch.planned += count * measured
        for number in range(count):
            host = self.honest[self.stream.randrange(len(self.honest))]
            at_ms = start_ms + (number + self.stream.random()) * 1_000 / per_second
            self.world.at(at_ms, host.publish, self.stream.randbytes(BODY_BYTES))
        self.world.run_for(seconds * 1_000)

    def settle(self, limit_ms: int = SETTLE_MS) -> int:
        """Wait until every honest node has everything; answers how long it took."""
        expected = self.watch.planned * (len(self.honest) - 1)
        return self.world.run_until(lambda: len(self.watch.delays) >= expected, limit_ms)

    def report(self) -> Report:
        """What was measured so far."""
        watch, count = self.watch, len(self.watch.published)
        delays = sorted(watch.delays)
        expected = count * (len(self.honest) - 1)
        return Report(
            vertices=count,
            coverage=len(delays) / expected,
            copies=sum(watch.copies[wire] for wire in watch.published) / expected,
            p50_ms=delays[len(delays) // 2],
            p99_ms=delays[len(delays) * 99 // 100],
            last_ms=delays[-1],
            control_bytes=watch.control_bytes / expected,
        )
