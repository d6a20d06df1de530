"""Infect-and-die push: whoever first hears a rumour tells a few others, once.

The share that ever hears it is the final size of an epidemic (Kermack and McKendrick 1927):
s = 1 - (1 - s0) exp(-F s), with fanout F and the share s0 that knows it at the start.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from simulations.models import InfectAndDieNode
from simulations.results import Outcome
from simulations.scenarios.networks import WorldParameters, describe_world, make_world


class Parameters(WorldParameters):
    """A population, and how talkative it is."""

    nodes: Annotated[int, Field(ge=2, le=100_000)] = 2_000
    fanout: Annotated[int, Field(ge=1, le=1_000)] = 3
    """Others that each node tells."""
    origins: Annotated[int, Field(ge=1, le=1_000)] = 10
    """Nodes that know it at the start; with one alone, the rumour may die out at once."""

    @model_validator(mode="after")
    def _check_population(self) -> Parameters:
        if max(self.fanout, self.origins) >= self.nodes:
            raise ValueError(f"fanout and origins have to be below nodes ({self.nodes})")
        return self


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let a few tell it, and count who has heard in the end."""
    world = make_world(parameters, seed, parameters.nodes)
    nodes = [InfectAndDieNode(parameters.nodes, parameters.fanout) for _ in range(parameters.nodes)]
    contexts = world.add_processes(nodes)
    for origin in range(parameters.origins):
        nodes[origin].tell(contexts[origin])
    world.run_to_end()
    heard = sum(node.heard for node in nodes)
    return Outcome(
        world=describe_world(world, parameters, crypto="none"),
        metrics={
            "coverage": heard / parameters.nodes,
            "copies_per_node": world.network.counters.delivered / parameters.nodes,
            "last_ms": world.now_ms,
        },
    )
