"""Finality of a committee alone: from bringing a batch to its place in the order.

Batches come evenly spread at every validator, and are followed to the moment they are put out by
the validator that was brought them. The kernel of consensus is the real one; CPU time is not
counted.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from consensus.pacemaker import PacemakerSettings
from consensus.protocol import ProfileName
from simulations.consensus.mesh import MeshOptions, ValidatorMesh
from simulations.kernel import NS_PER_MS
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.results import Outcome
from simulations.scenarios.networks import WorldParameters, describe_world, make_world
from simulations.scenarios.summary import make_samples_ms, summarise_ms, to_ms

if TYPE_CHECKING:
    from simulations.world import World

MEASURED_FROM_PERCENT = 30
MEASURED_TO_PERCENT = 70


class Parameters(WorldParameters):
    """A committee, and what it is brought."""

    members: Annotated[int, Field(ge=1, le=50)] = 4
    leaders_per_round: Annotated[int, Field(ge=1, le=50)] = 1
    profile: ProfileName = "bft3"
    one_way_ms: Annotated[int, Field(ge=0, le=10_000)] = 100
    """The same between all; 0 for the latencies of the network."""
    crashed: Annotated[int, Field(ge=0, le=49)] = 0
    """Validators that are down from the start."""
    reputation_window: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Commits after which leaders are chosen anew; 0 for leaders in turn."""
    drained: bool = True
    """Whether blocks that arrive together are all taken before the next is made."""
    minimum_delay_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    leader_timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 2_000
    interval_ms: Annotated[int, Field(ge=1, le=60_000)] = 10
    """Between two batches at each validator."""
    duration_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 3_000


def run(parameters: Parameters, seed: int) -> Outcome:
    """Bring batches for a while, and measure those of the middle."""
    world, mesh = _found(parameters, seed)
    live = range(min(parameters.crashed, parameters.members - 1), parameters.members)
    brought = _feed(parameters, world, mesh, list(live))
    world.run_for(parameters.duration_ms)
    ledger = mesh.ledger
    first_ns = parameters.duration_ms * NS_PER_MS * MEASURED_FROM_PERCENT // 100
    last_ns = parameters.duration_ms * NS_PER_MS * MEASURED_TO_PERCENT // 100
    measured = [batch for batch in brought if first_ns <= mesh.batches[batch] < last_ns]
    delays_ns = [
        ledger.final_ns[batch, brought[batch]] - mesh.batches[batch]
        for batch in measured
        if (batch, brought[batch]) in ledger.final_ns
    ]
    leaders_ns = [
        now_ns - ledger.made_ns[commit.leader]
        for commit, now_ns in zip(ledger.commits, ledger.committed_ns, strict=True)
        if first_ns <= ledger.made_ns[commit.leader] < last_ns
    ]
    return Outcome(
        world=describe_world(world, parameters, "none"),
        metrics={
            "commits": len(ledger.commits),
            "rounds": max((round_ for _, round_ in ledger.made), default=0),
            "final_share": len(delays_ns) / len(measured) if measured else 0,
            **_summarise(parameters, delays_ns, leaders_ns),
        },
        samples={"finality_ms": make_samples_ms(delays_ns)},
    )


def _found(parameters: Parameters, seed: int) -> tuple[World, ValidatorMesh]:
    world = make_world(parameters, seed, parameters.members)
    if parameters.one_way_ms:
        world.network.change(NetworkSettings(latency=Constant(parameters.one_way_ms)))
    options = MeshOptions(
        profile=parameters.profile,
        leaders_per_round=parameters.leaders_per_round,
        reputation_window=parameters.reputation_window,
        drained=parameters.drained,
        pushes_history=False,
        pace=PacemakerSettings(
            minimum_delay_ms=parameters.minimum_delay_ms,
            leader_timeout_ms=parameters.leader_timeout_ms,
        ),
    )
    mesh = ValidatorMesh(world, parameters.members, options)
    for author in range(min(parameters.crashed, parameters.members - 1)):
        world.at(0, mesh.crash, mesh.validators[author])
    return world, mesh


def _feed(
    parameters: Parameters, world: World, mesh: ValidatorMesh, live: list[int]
) -> dict[bytes, int]:
    """Bring each validator a batch at the start, and then one in the middle of each interval."""
    brought: dict[bytes, int] = {}

    def bring(author: int) -> None:
        brought[mesh.submit(author)] = author

    for author in live:
        world.at(0, bring, author)
        for at_ms in range(0, parameters.duration_ms, parameters.interval_ms):
            world.at(at_ms + parameters.interval_ms / 2, bring, author)
    return brought


def _summarise(
    parameters: Parameters, delays_ns: list[int], leaders_ns: list[int]
) -> dict[str, float | int]:
    if not delays_ns or not leaders_ns:
        return {}
    mean_ms = to_ms(fmean(delays_ns))
    found = {
        "mean_ms": mean_ms,
        "leader_ms": to_ms(fmean(leaders_ns)),
        **summarise_ms(delays_ns),
    }
    if parameters.one_way_ms:
        found["mean_delays"] = round(mean_ms / parameters.one_way_ms, 6)
    return found
