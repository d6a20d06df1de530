"""Hosts leave and come back: which vertices can be had, and how soon who returns has caught up."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from simulations.churn import Sessions, draw_churn, make_ipfs_lognormal, make_ipfs_weibull
from simulations.injector import Injector
from simulations.kernel import NS_PER_MS
from simulations.results import Number, Outcome
from simulations.scenarios.networks import describe_world
from simulations.scenarios.presence import Moment, Presence, find_catch_ups_ns, look
from simulations.scenarios.spread import (
    MeshParameters,
    Spread,
    found_mesh,
    name_crypto,
    schedule_publications,
)
from simulations.scenarios.summary import DIGITS, make_samples_ms, summarise_ms

if TYPE_CHECKING:
    from simulations.mesh import Mesh
    from simulations.world import World

LOOKS: Final = 100
"""Times at which the mesh is looked at."""


class Parameters(MeshParameters):
    """A mesh, and how long its members stay."""

    nodes: Annotated[int, Field(ge=2, le=2_000)] = 10
    sessions: Literal["weibull", "lognormal"] = "weibull"
    """Two fits to what was measured of IPFS; see `simulations.churn`."""
    hour_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 30_000
    """Virtual time that stands for an hour of sessions; deadlines of the core are not scaled."""
    availability: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Share of time that a host is up."""
    steady_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Of the hosts never leave."""
    duration_ms: Annotated[int, Field(ge=1_000, le=86_400_000)] = 300_000
    interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 2_000
    """Between two publications; who is away does not publish."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let hosts come and go while they publish, and look at the mesh a hundred times."""
    world, mesh = found_mesh(parameters, seed)
    spread, presence = Spread(world), Presence(world)
    start_ns = world.kernel.now_ns
    _begin_churn(parameters, world, mesh)
    count = parameters.duration_ms // parameters.interval_ms
    schedule_publications(parameters, spread, world, list(mesh), count)
    world.run_for(parameters.duration_ms)
    step_ns = parameters.duration_ms * NS_PER_MS // LOOKS
    looks_ns = [place * step_ns for place in range(1, LOOKS + 1)]
    seen = [
        (time_ns // NS_PER_MS, moment)
        for time_ns in looks_ns
        if (moment := look(spread, presence, parameters.nodes, start_ns + time_ns)) is not None
    ]
    took_ns, unfinished = find_catch_ups_ns(spread, presence)
    caught_up = {f"catch_up_{name}": value for name, value in summarise_ms(took_ns).items()}
    return Outcome(
        world=describe_world(world, parameters, name_crypto(parameters)),
        metrics={
            "published": len(spread.stories),
            "returns": len(presence.find_returns()),
            "catch_ups": len(took_ns),
            "catch_ups_unfinished": unfinished,
            **_average([moment for _, moment in seen]),
            **caught_up,
        },
        samples={"catch_up_ms": make_samples_ms(took_ns)},
        series={
            "up_by_ms": _trace(seen, "up"),
            "available_by_ms": _trace(seen, "available"),
            "coverage_by_ms": _trace(seen, "coverage"),
        },
    )


def _begin_churn(parameters: Parameters, world: World, mesh: Mesh) -> None:
    steady = parameters.nodes * parameters.steady_percent // 100
    sessions: Sessions = (
        make_ipfs_weibull(parameters.hour_ms)
        if parameters.sessions == "weibull"
        else make_ipfs_lognormal(parameters.hour_ms)
    )
    faults = draw_churn(
        world.streams.get("churn"),
        range(steady, parameters.nodes),
        sessions,
        availability=parameters.availability,
        start_ms=world.now_ms,
        duration_ms=parameters.duration_ms,
    )
    Injector(world, mesh, faults)


def _average(moments: list[Moment]) -> dict[str, Number]:
    if not moments:
        return {}
    covered = [moment.coverage for moment in moments if moment.coverage is not None]
    return {
        "up": fmean(moment.up for moment in moments),
        "vertex_availability": fmean(moment.available for moment in moments),
        **({"coverage": fmean(covered)} if covered else {}),
    }


def _trace(seen: list[tuple[int, Moment]], name: str) -> list[tuple[Number, Number]]:
    found = [(time_ms, getattr(moment, name)) for time_ms, moment in seen]
    return [(time_ms, round(value, DIGITS)) for time_ms, value in found if value is not None]
