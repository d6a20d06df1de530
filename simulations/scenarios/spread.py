"""How published vertices spread through a mesh of cores: who had which when, and what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from meshnode.core.events import Published, VertexAdmitted
from meshnode.core.messages import Items, Push
from simulations.observers import Observer
from simulations.scenarios.networks import CoreParameters, Crypto, make_world

if TYPE_CHECKING:
    from meshnode.core.events import Event
    from meshnode.core.messages import Message
    from simulations.host import Host
    from simulations.mesh import Mesh
    from simulations.world import World

FOUND_MS = 300_000
"""A mesh that has not found together by then has no latency to measure."""


class MeshParameters(CoreParameters):
    """A mesh of cores, and how much its members have to say."""

    nodes: Annotated[int, Field(ge=2, le=2_000)] = 8
    interval_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 100
    """Between two publications in the mesh."""
    body_bytes: Annotated[int, Field(ge=0, le=16_000)] = 200


def found_mesh(parameters: MeshParameters, seed: int) -> tuple[World, Mesh]:
    """A world with a mesh whose members all hold each other's profiles.

    Raises `Unreached` where the network is too bad for that.
    """
    world = make_world(parameters, seed, parameters.nodes, fidelity=parameters.fidelity)
    mesh = world.add_mesh(parameters.nodes, suite=parameters.suite)

    def is_founded() -> bool:
        held = all(host.view().vertices >= parameters.nodes for host in mesh)
        return held and mesh.converged

    world.run_until(is_founded, FOUND_MS)
    return world, mesh


def name_crypto(parameters: CoreParameters) -> Crypto:
    """What a fidelity does about signatures."""
    return "real" if parameters.fidelity == "bytes" else "cached"


@dataclass(slots=True)
class Story:
    """One published vertex."""

    author: int
    """Index of the host that published it."""
    begun_ns: int
    """When its publication was asked for."""
    id: bytes
    wire: bytes = field(repr=False)


class Spread(Observer):
    """Follows the vertices that are published through it."""

    def __init__(self, world: World) -> None:
        self.stories: list[Story] = []
        """Published vertices, in the order in which they became durable."""
        self.admitted: dict[bytes, dict[int, int]] = {}
        """By vertex and host: since when, in ns, it has been durable there."""
        self.copies: dict[bytes, int] = {}
        """By wire form: how often it was sent."""
        self.asked = 0
        """Publications asked for."""
        self._world = world
        self._asked_ns: dict[tuple[int, int], int] = {}
        world.add_observer(self)

    def publish(self, host: Host, body: bytes) -> None:
        """Let a host publish, if it is up."""
        if host.is_up:
            token = host.publish(body)
            self._asked_ns[host.index, token] = self._world.kernel.now_ns
            self.asked += 1

    def on_fact(self, host: Host, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, VertexAdmitted):
            holders = self.admitted.setdefault(event.signed.id, {})
            holders.setdefault(host.index, self._world.kernel.now_ns)
        elif isinstance(event, Published):
            begun_ns = self._asked_ns.pop((host.index, event.token), None)
            if begun_ns is not None:
                story = Story(host.index, begun_ns, event.signed.id, event.signed.wire)
                self.stories.append(story)

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        """See `Observer`."""
        del host, target, size_bytes
        if isinstance(message, Push | Items):
            for wire in message.vertices:
                self.copies[wire] = self.copies.get(wire, 0) + 1

    # --- what came of it ------------------------------------------------------------------------

    def find_delays_ns(self, stories: Sequence[Story], receivers: Sequence[int]) -> list[int]:
        """From asking to holding, for every receiver that holds a vertex of another."""
        return [
            held_ns - story.begun_ns
            for story in stories
            for receiver in receivers
            if receiver != story.author
            and (held_ns := self.admitted[story.id].get(receiver)) is not None
        ]

    def count_copies(self, stories: Sequence[Story]) -> int:
        """How often these vertices were sent, to anybody."""
        return sum(self.copies.get(story.wire, 0) for story in stories)


def count_pairs(stories: Sequence[Story], receivers: Sequence[int]) -> int:
    """Deliveries that are due: every vertex at every receiver but its author."""
    return sum(receiver != story.author for story in stories for receiver in receivers)


def schedule_publications(
    parameters: MeshParameters, spread: Spread, world: World, authors: Sequence[Host], count: int
) -> int:
    """Let authors drawn at random publish, one every interval; answers when the last does, in ms."""
    stream = world.streams.get("workload")
    at_ms = world.now_ms
    for _ in range(count):
        at_ms += parameters.interval_ms
        author = authors[stream.randrange(len(authors))]
        world.at(at_ms, spread.publish, author, stream.randbytes(parameters.body_bytes))
    return at_ms
