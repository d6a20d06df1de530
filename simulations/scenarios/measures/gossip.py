"""Gossip of the real core: how many hosts get a vertex, how soon, and what that costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from simulations.results import Outcome
from simulations.scenarios.networks import describe_world
from simulations.scenarios.spread import (
    MeshParameters,
    Spread,
    count_pairs,
    found_mesh,
    name_crypto,
    schedule_publications,
)
from simulations.scenarios.summary import make_samples_ms, summarise_ms, trace_coverage


class Parameters(MeshParameters):
    """A mesh, and what is published in it."""

    vertices: Annotated[int, Field(ge=1, le=100_000)] = 50
    settle_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 10_000
    """After the last publication, before it is counted who has what."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Publish at a steady rate in a mesh that has found together."""
    world, mesh = found_mesh(parameters, seed)
    spread = Spread(world)
    sent_bytes = world.network.counters.sent_bytes
    last_ms = schedule_publications(parameters, spread, world, list(mesh), parameters.vertices)
    world.run_for(last_ms - world.now_ms + parameters.settle_ms)
    stories, receivers = spread.stories, [host.index for host in mesh]
    delays_ns = spread.find_delays_ns(stories, receivers)
    pairs = count_pairs(stories, receivers)
    copies = spread.count_copies(stories)
    sent_bytes = world.network.counters.sent_bytes - sent_bytes
    return Outcome(
        world=describe_world(world, parameters, name_crypto(parameters)),
        metrics={
            "published": len(stories),
            "coverage": len(delays_ns) / pairs if pairs else 0,
            "copies_per_vertex": copies / len(stories) if stories else 0,
            "copies_per_delivery": copies / len(delays_ns) if delays_ns else 0,
            "bytes_per_node": sent_bytes / parameters.nodes,
            "bytes_per_delivery": sent_bytes / len(delays_ns) if delays_ns else 0,
            **summarise_ms(delays_ns),
        },
        samples={"delivery_ms": make_samples_ms(delays_ns)},
        series={"coverage_by_ms": trace_coverage(delays_ns, pairs)},
    )
