"""Flooding one message over a graph: how many get it, how soon, and how often over.

Minimal nodes forward what is new to every neighbour but its source. Without suppression each node
gets D - 1 + 1/N copies on a graph of degree D, whatever the latencies.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from simulations.models import FloodNode
from simulations.results import Outcome
from simulations.scenarios.networks import (
    TopologyName,
    WorldParameters,
    describe_world,
    make_topology,
    make_world,
)
from simulations.scenarios.summary import make_samples_ms, summarise_ms, trace_coverage
from simulations.world import World

MS_PER_S: Final = 1_000


class Parameters(WorldParameters):
    """A graph, and what is sent over it."""

    nodes: Annotated[int, Field(ge=2, le=100_000)] = 300
    degree: Annotated[int, Field(ge=1, le=1_000)] = 8
    topology: TopologyName = "regular"
    size_bytes: Annotated[int, Field(ge=0, le=16 << 20)] = 0
    check_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    """Time each node takes before it forwards."""
    reliable: bool = True
    """Connections, where loss costs time; datagrams are lost for good."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Flood from a node drawn by the seed, over a graph drawn by the seed."""
    world = make_world(parameters, seed, parameters.nodes, reliable=parameters.reliable)
    graph_seed = world.streams.get("topology").getrandbits(32)
    topology = make_topology(parameters.topology, parameters.nodes, parameters.degree, graph_seed)
    count = len(topology)  # a tree or a line is what it is
    nodes = [_make_node(world, parameters, node) for node in range(count)]
    contexts = world.add_processes(nodes, topology)
    origin = world.streams.get("origin").randrange(count)
    nodes[origin].originate(contexts[origin])
    world.run_to_end()
    held_ns = [node.held_ns for node in nodes if node.held_ns is not None]
    delays_ns = [
        node.held_ns
        for place, node in enumerate(nodes)
        if node.held_ns is not None and place != origin
    ]
    return Outcome(
        world=describe_world(world, parameters, crypto="none"),
        metrics={
            "coverage": len(held_ns) / count,
            "copies_per_node": sum(node.receptions for node in nodes) / count,
            "bytes_per_node": world.network.counters.sent_bytes / count,
            **summarise_ms(delays_ns),
        },
        samples={"delivery_ms": make_samples_ms(delays_ns)},
        series={"coverage_by_ms": trace_coverage(held_ns, count)},
    )


def _make_node(world: World, parameters: Parameters, node: int) -> FloodNode:
    """A node that sends to one neighbour after the other, as fast as its uplink takes them."""
    network = world.network
    rate_bps = network.uplinks_bps.get(node, network.settings.uplink_bps)
    pause_ms = parameters.size_bytes * 8 * MS_PER_S / rate_bps if rate_bps else 0.0
    return FloodNode(parameters.size_bytes, wait_ms=parameters.check_ms, pause_ms=pause_ms)
