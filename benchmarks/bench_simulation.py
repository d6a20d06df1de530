"""How fast simulations run: bare events beside SimPy, gossip of real vertices, real cores, memory.

    python -m benchmarks.bench_simulation [--nodes 1000] [--cores 200] [--seconds 3] [--json]
    python -m benchmarks.bench_simulation --only cores --cores 1000

SimPy comes with the dependency group `bench`. Rates are the best of several runs, in CPU time of
one core; every part says its fidelity.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import simpy

from benchmarks._harness import describe_machine, describe_revision
from dag.authors import AuthorRegistry
from simulations import NetworkSettings, World, load_latency
from simulations.fidelity import Fidelity
from simulations.gossip import GossipNode, make_frames
from simulations.identities import make_genesis, make_identity
from simulations.kernel import NS_PER_MS, Kernel
from simulations.models import FloodNode
from simulations.topology import random_regular

RUNS = 3
DEGREE = 8
AUTHORS = 60
CONNECT_MS = 5_000
STRETCH_MS = 5_000
VERTICES_PER_S = 10
PARTS = ("memory", "ping", "gossip", "cores")
"""In this order: the peak of memory is the process's, and grows with every part."""
Rate = float


def best_of(run: Callable[[], tuple[int, float]]) -> Rate:
    """The best rate of several runs; each answers how many, in how many seconds of CPU."""
    rates = []
    for _ in range(RUNS):
        gc.collect()
        count, seconds = run()
        rates.append(count / seconds)
    return max(rates)


# --- the ping workload: a token per node, each delivery goes on to one of eight peers --------------


Hop = Callable[[int], tuple[int, int]]


def make_ping(count: int) -> tuple[Hop, list[int]]:
    """The workload both engines run, and its counters.

    Answers, for a node that has a token, where it goes and how many ns that takes.
    """
    stream = random.Random(1)
    latency = load_latency("aws-13")
    hops = [
        [(peer, latency.sample_ns(node, peer, stream)) for peer in near]
        for node, near in enumerate(random_regular(count, DEGREE, seed=1))
    ]
    counts = [0] * count
    draw = stream.random

    def next_hop(node: int) -> tuple[int, int]:
        counts[node] += 1
        target, delay_ns = hops[node][int(draw() * DEGREE)]
        return target, int(delay_ns * (1 + 0.1 * draw()))

    return next_hop, counts


def ping_kernel(count: int, virtual_ms: int, *, traced: bool) -> tuple[int, float]:
    """The ping workload on our kernel."""
    next_hop, counts = make_ping(count)
    kernel = Kernel(traced=traced)
    schedule = kernel.schedule

    def make_handler(node: int) -> Callable[[int, object], None]:
        def handle(_kind: int, _payload: object) -> None:
            target, delay_ns = next_hop(node)
            schedule(kernel.now_ns + delay_ns, target, 0)

        return handle

    for node in range(count):
        kernel.register(node, make_handler(node))
        kernel.schedule(0, node, 0)
    start = time.process_time()
    kernel.run(virtual_ms * NS_PER_MS)
    return sum(counts), time.process_time() - start


def ping_simpy(count: int, virtual_ms: int, *, process_per_message: bool) -> tuple[int, float]:
    """The same on SimPy: a process per node that reads its store.

    Latency is a process per message, as SimPy's own examples have it, or a callback on a timeout.
    """
    next_hop, counts = make_ping(count)
    environment = simpy.Environment()
    stores = [simpy.Store(environment) for _ in range(count)]

    def travel(target: int, delay_ns: int) -> Generator[simpy.Event, Any, None]:
        yield environment.timeout(delay_ns)
        stores[target].put(None)

    def deliver(target: int, delay_ns: int) -> None:
        def put(_event: object) -> None:
            stores[target].put(None)

        environment.timeout(delay_ns).callbacks.append(put)

    def live(node: int) -> Generator[simpy.Event, Any, None]:
        while True:
            yield stores[node].get()
            if process_per_message:
                environment.process(travel(*next_hop(node)))
            else:
                deliver(*next_hop(node))

    for node in range(count):
        environment.process(live(node))
        stores[node].put(None)
    start = time.process_time()
    environment.run(until=virtual_ms * NS_PER_MS)
    return sum(counts), time.process_time() - start


# --- gossip and cores -----------------------------------------------------------------------------


def gossip(count: int, fidelity: Fidelity, *, traced: bool) -> tuple[int, float]:
    """Real vertices of 60 authors, flooded at 10 a second over a mesh of degree 8."""
    people = [make_identity(n.to_bytes(32, "big"), f"a{n}", "ed25519") for n in range(AUTHORS)]
    genesis = make_genesis(people, "ed25519")
    frames = make_frames(genesis, people, body_bytes=64)
    network = NetworkSettings(latency=load_latency("aws-13"))
    world = World(1, fidelity=fidelity, network=network, traced=traced)
    authors = AuthorRegistry(genesis)
    nodes = [GossipNode(genesis, authors, fidelity) for _ in range(count)]
    contexts = world.add_processes(nodes, random_regular(count, DEGREE, seed=1))
    for number, frame in enumerate(frames):
        origin = number * 37 % count
        world.at(100 * number, nodes[origin].originate, contexts[origin], frame)
    start = time.process_time()
    world.run_to_end()
    seconds = time.process_time() - start
    assert all(len(node.stored) == AUTHORS for node in nodes)
    assert world.network.counters.conserved
    return world.network.counters.delivered, seconds


def cores(count: int, fidelity: Fidelity) -> tuple[int, float]:
    """A full mesh of real cores in which everybody publishes, traced."""
    world = World(1, fidelity=fidelity, network=NetworkSettings(latency=load_latency("aws-13")))
    mesh = world.add_mesh(count)
    world.run_until(lambda: mesh.meshed, limit_ms=20_000)
    before = world.network.counters.delivered
    start = time.process_time()
    for _ in range(20):
        for host in mesh:
            host.publish(b"note" * 40)
        world.run_for(500)
    seconds = time.process_time() - start
    return world.network.counters.delivered - before, seconds


@dataclass(frozen=True, slots=True)
class OverlayRun:
    """What a mesh of real cores cost that is too large for everybody to be connected to everybody.

    Seconds are CPU time of one core.
    """

    start_s: float
    """Until every core holds every profile, and has taken up its work."""
    connect_s: float
    """The virtual seconds in which the overlay and its tree form."""
    rates: tuple[float, ...]
    """Deliveries a second, of each stretch of virtual time with load."""
    virtual_per_real: tuple[float, ...]
    """Virtual seconds per second of each stretch."""
    deliveries_per_virtual_s: float
    peak_mib: float

    def describe(self, count: int) -> dict[str, float]:
        """The figures by name; of the rates the best, as everywhere."""
        best = max(self.rates)
        return {
            f"cores_{count}_cached_deliveries_per_s": best,
            f"cores_{count}_cpu_us_per_delivery": 1e6 / best,
            f"cores_{count}_deliveries_per_virtual_s": self.deliveries_per_virtual_s,
            f"cores_{count}_virtual_s_per_s_at_{VERTICES_PER_S}_vertices_per_s": max(
                self.virtual_per_real
            ),
            f"cores_{count}_start_s": self.start_s,
            f"cores_{count}_connect_s": self.connect_s,
            f"cores_{count}_peak_mib": self.peak_mib,
        }


def overlay_cores(count: int, fidelity: Fidelity, *, stretches: int = RUNS) -> OverlayRun:
    """Real cores, too many for a full mesh, in which 10 vertices a second are published.

    Everybody knows everybody's profile from the start: joining is not what is measured here.
    """
    latency = load_latency("aws-13")
    world = World(1, fidelity=fidelity, network=NetworkSettings(latency=latency), traced=False)
    begun_s = time.process_time()
    mesh = world.add_mesh(count, known_members=True)
    started_s = time.process_time()
    world.run_for(CONNECT_MS)
    connected_s = time.process_time()
    counters = world.network.counters
    gc.collect()
    gc.freeze()  # what lives as long as the world is not looked through again
    rates, ratios, first = [], [], counters.delivered
    for _ in range(stretches):
        before, start_s = counters.delivered, time.process_time()
        for number in range(VERTICES_PER_S * STRETCH_MS // 1_000):
            author = mesh[number * 37 % count]
            world.at(world.now_ms + number * 1_000 // VERTICES_PER_S, author.publish, b"note" * 40)
        world.run_for(STRETCH_MS)
        seconds = time.process_time() - start_s
        rates.append((counters.delivered - before) / seconds)
        ratios.append(STRETCH_MS / 1_000 / seconds)
    gc.unfreeze()
    return OverlayRun(
        start_s=started_s - begun_s,
        connect_s=connected_s - started_s,
        rates=tuple(rates),
        virtual_per_real=tuple(ratios),
        deliveries_per_virtual_s=(counters.delivered - first) * 1_000 / (stretches * STRETCH_MS),
        peak_mib=measure_peak_mib(),
    )


def measure_peak_mib() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024


def measure_memory(count: int) -> float:
    """Peak resident MiB of this process after a flood through so many minimal nodes."""
    world = World(1, traced=False)
    nodes = [FloodNode() for _ in range(count)]
    contexts = world.add_processes(nodes, random_regular(count, DEGREE, seed=1))
    nodes[0].originate(contexts[0])
    world.run_to_end()
    assert all(node.held_ns is not None for node in nodes)
    return measure_peak_mib()


def measure_ping(count: int, virtual_ms: int) -> dict[str, float]:
    """The kernel alone, beside SimPy."""
    figures = {
        "ping_events_per_s": best_of(lambda: ping_kernel(count, virtual_ms, traced=False)),
        "ping_traced_events_per_s": best_of(lambda: ping_kernel(count, virtual_ms, traced=True)),
        "ping_simpy_processes_events_per_s": best_of(
            lambda: ping_simpy(count, virtual_ms, process_per_message=True)
        ),
        "ping_simpy_callbacks_events_per_s": best_of(
            lambda: ping_simpy(count, virtual_ms, process_per_message=False)
        ),
    }
    for idiom in ("processes", "callbacks"):
        simpy_rate = figures[f"ping_simpy_{idiom}_events_per_s"]
        figures[f"times_simpy_{idiom}"] = figures["ping_events_per_s"] / simpy_rate
    return figures


def measure_gossip(count: int) -> dict[str, float]:
    """Real vertices, minimal nodes."""
    figures = {
        "gossip_cached_deliveries_per_s": best_of(lambda: gossip(count, "cached", traced=False)),
        "gossip_objects_deliveries_per_s": best_of(lambda: gossip(count, "objects", traced=False)),
        "gossip_cached_traced_deliveries_per_s": best_of(
            lambda: gossip(count, "cached", traced=True)
        ),
    }
    vertex_deliveries = count * (DEGREE - 1) + 1
    figures["gossip_times_real_time_at_10_vertices_per_s"] = figures[
        "gossip_cached_deliveries_per_s"
    ] / (10 * vertex_deliveries)
    return figures


def measure_cores(core_count: int) -> dict[str, float]:
    """Real cores, in a full mesh and in an overlay."""
    figures = {"cores_16_cached_deliveries_per_s": best_of(lambda: cores(16, "cached"))}
    return figures | overlay_cores(core_count, "cached").describe(core_count)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--cores", type=int, default=200, help="real cores in one overlay")
    parser.add_argument("--seconds", type=int, default=10, help="virtual seconds of pings")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    options = parser.parse_args()
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "ping": lambda: measure_ping(options.nodes, options.seconds * 1_000),
        "gossip": lambda: measure_gossip(options.nodes),
        "cores": lambda: measure_cores(options.cores),
        "memory": lambda: {"memory_10000_nodes_mib": measure_memory(10_000)},
    }
    figures = {
        name: round(value, 3)
        for part in options.only or PARTS
        for name, value in measures[part]().items()
    }
    result = {
        "revision": describe_revision(),
        "machine": describe_machine(),
        "nodes": options.nodes,
        "figures": figures,
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{options.nodes} nodes at {result['revision']} on {result['machine']}")
    for name, value in figures.items():
        print(f"  {name:56}{value:14,.{1 if value >= 10 else 3}f}")


if __name__ == "__main__":
    main()
