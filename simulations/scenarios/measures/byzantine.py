"""A share of the hosts lies: what the honest ones still get from each other, and how soon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from simulations.faults import Behaviour, Byzantine
from simulations.injector import Injector
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
from simulations.streams import Streams

if TYPE_CHECKING:
    from simulations.mesh import Mesh
    from simulations.world import World


class Parameters(MeshParameters):
    """A mesh, and who in it lies how."""

    nodes: Annotated[int, Field(ge=2, le=2_000)] = 10
    liars_percent: Annotated[int, Field(ge=0, le=90)] = 20
    """Of the hosts; the rest that makes no whole host is honest."""
    behaviour: Behaviour = "withhold"
    """See `simulations.mutators`."""
    lies_percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Of the messages that offer the occasion."""
    vertices: Annotated[int, Field(ge=1, le=100_000)] = 50
    settle_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 20_000
    """After the last publication, before it is counted who has what."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let everybody publish while some lie; honest hosts are asked what they hold."""
    world, mesh = found_mesh(parameters, seed)
    spread = Spread(world)
    liars = draw_liars(parameters, seed)
    last_ms = schedule_publications(parameters, spread, world, list(mesh), parameters.vertices)
    end_ms = last_ms + parameters.settle_ms
    _make_lie(parameters, world, mesh, liars, end_ms)
    sent_bytes = world.network.counters.sent_bytes
    world.run_for(end_ms - world.now_ms)
    receivers = [host.index for host in mesh if host.index not in liars]
    honest = [story for story in spread.stories if story.author not in liars]
    told = [story for story in spread.stories if story.author in liars]
    delays_ns = spread.find_delays_ns(honest, receivers)
    told_ns = spread.find_delays_ns(told, receivers)
    pairs, told_pairs = count_pairs(honest, receivers), count_pairs(told, receivers)
    sent_bytes = world.network.counters.sent_bytes - sent_bytes
    return Outcome(
        world=describe_world(world, parameters, name_crypto(parameters)),
        metrics={
            "coverage": len(delays_ns) / pairs if pairs else 1,
            "coverage_of_liars": len(told_ns) / told_pairs if told_pairs else 1,
            "liars": len(liars),
            "offences": sum(sum(mesh[place].penalties.values()) for place in receivers),
            "bytes_per_node": sent_bytes / parameters.nodes,
            **summarise_ms(delays_ns),
            **{f"liars_{name}": value for name, value in summarise_ms(told_ns).items()},
        },
        samples={
            "delivery_ms": make_samples_ms(delays_ns),
            "liars_delivery_ms": make_samples_ms(told_ns),
        },
        series={"coverage_by_ms": trace_coverage(delays_ns, pairs)},
    )


def draw_liars(parameters: Parameters, seed: int) -> tuple[int, ...]:
    """Places of the hosts that lie; more liars are the same and some more."""
    count = parameters.nodes * parameters.liars_percent // 100
    order = list(range(parameters.nodes))
    Streams(seed).get("liars").shuffle(order)
    return tuple(sorted(order[:count]))


def _make_lie(
    parameters: Parameters, world: World, mesh: Mesh, liars: tuple[int, ...], end_ms: int
) -> None:
    lies = [
        Byzantine(
            number=number,
            host=liar,
            at_ms=world.now_ms,
            for_ms=end_ms - world.now_ms,
            behaviour=parameters.behaviour,
            percent=parameters.lies_percent,
        )
        for number, liar in enumerate(liars, 1)
    ]
    Injector(world, mesh, lies)
