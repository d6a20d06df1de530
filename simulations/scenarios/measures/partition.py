"""Recovery from a partition: two sides publish without each other, and then meet again.

What the recovery takes is mostly waiting for the next attempt to dial, which is the rarer the
longer a partition has lasted, up to the core's longest pause between attempts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from simulations.results import Outcome
from simulations.scenarios.networks import describe_world
from simulations.scenarios.spread import (
    MeshParameters,
    Spread,
    Story,
    found_mesh,
    name_crypto,
    schedule_publications,
)
from simulations.scenarios.summary import make_samples_ms, summarise_ms, trace_coverage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulations.host import Host
    from simulations.mesh import Mesh


class Parameters(MeshParameters):
    """A mesh, and for how long it is in two."""

    partition_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 30_000
    smaller_percent: Annotated[int, Field(ge=1, le=50)] = 50
    """Of the hosts are on the smaller side; one at least."""
    interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 500
    limit_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 600_000
    """A mesh that has not recovered by then is given up."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Part a mesh, let both sides publish, heal it, and wait for equal heads."""
    world, mesh = found_mesh(parameters, seed)
    spread = Spread(world)
    size = max(1, parameters.nodes * parameters.smaller_percent // 100)
    world.cut(mesh[:size], mesh[size:])
    count = parameters.partition_ms // parameters.interval_ms
    schedule_publications(parameters, spread, world, list(mesh), count)
    world.run_for(parameters.partition_ms)
    healed_ns, sent_bytes = world.kernel.now_ns, world.network.counters.sent_bytes
    copies = spread.count_copies(spread.stories)
    world.heal()
    reconnected_ms = world.run_until(
        lambda: _is_linked(mesh[:size], mesh[size:]), parameters.limit_ms
    )
    equal_ms = world.run_until(lambda: _is_done(mesh, spread), parameters.limit_ms)
    crossed_ns = _find_crossings_ns(spread, spread.stories, range(size), mesh, healed_ns)
    sent_bytes = world.network.counters.sent_bytes - sent_bytes
    copies = spread.count_copies(spread.stories) - copies
    return Outcome(
        world=describe_world(world, parameters, name_crypto(parameters)),
        metrics={
            "reconnected_ms": reconnected_ms,
            "recovery_ms": reconnected_ms + equal_ms,
            "vertices_missing": len(crossed_ns),
            "copies_per_missing": copies / len(crossed_ns) if crossed_ns else 0,
            "recovery_bytes": sent_bytes,
            "bytes_per_missing": sent_bytes / len(crossed_ns) if crossed_ns else 0,
            **summarise_ms(crossed_ns),
        },
        samples={"delivery_ms": make_samples_ms(crossed_ns)},
        series={"coverage_by_ms": trace_coverage(crossed_ns, len(crossed_ns))},
    )


def _is_linked(left: Sequence[Host], right: Sequence[Host]) -> bool:
    others = {host.name for host in right}
    return any(not others.isdisjoint(host.core.get_ready_peers()) for host in left)


def _is_done(mesh: Mesh, spread: Spread) -> bool:
    """Whether heads are equal, and what they stand on is durable everywhere."""
    return (
        len(spread.stories) == spread.asked
        and mesh.converged
        and all(len(spread.admitted[story.id]) == len(mesh) for story in spread.stories)
    )


def _find_crossings_ns(
    spread: Spread, stories: Sequence[Story], left: Sequence[int], mesh: Mesh, healed_ns: int
) -> list[int]:
    """Since the healing, when each host got what the other side had published without it."""
    return [
        held_ns - healed_ns
        for story in stories
        for host in mesh
        if (host.index in left) != (story.author in left)
        and (held_ns := spread.admitted[story.id][host.index]) > healed_ns
    ]
