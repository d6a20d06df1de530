"""Small worlds to look at, for tests of what records them."""

from __future__ import annotations

from simulations import Constant, NetworkSettings, World, load_latency
from simulations.mesh import Mesh
from simulations.observers import Observer, invite
from simulations.process import Context


def run_mesh(*observers: Observer, regions: bool = False) -> Mesh:
    """Four hosts that publish, are parted and healed, of which one crashes and comes back."""
    latency = load_latency("aws-13") if regions else Constant(20.0)
    with invite(*observers):
        world = World(5, network=NetworkSettings(latency=latency))
    mesh = world.add_mesh(4)
    world.run_until(lambda: mesh.meshed, limit_ms=10_000)
    world.run_for(1_000)
    mesh[0].publish(b"one")
    world.run_for(500)
    mesh[3].crash()
    cuts = world.cut([mesh[0]], [mesh[1], mesh[2]])
    world.run_for(300)
    world.heal(cuts)
    mesh[3].start()
    world.run_for(1_000)
    world.run_until(lambda: mesh.converged, limit_ms=60_000)
    return mesh


class Gossip:
    """Passes on what it hears first."""

    def __init__(self) -> None:
        self.heard: dict[object, None] = {}

    def on_start(self, context: Context) -> None:
        if context.index == 0:
            for message in ("rumour", 7, b"bytes", None, ("a", "tuple")):
                self.on_message(context, 0, message)

    def on_message(self, context: Context, source: int, message: object) -> None:
        if message not in self.heard:
            self.heard[message] = None
            context.send_all(message, 100)

    def on_timer(self, context: Context, name: str) -> None:
        """Sets none."""


def run_processes(*observers: Observer, count: int = 5, cost_ns: int = 0) -> World:
    """A ring of gossiping processes."""
    with invite(*observers):
        world = World(5)
    ring = [tuple(sorted(((n - 1) % count, (n + 1) % count))) for n in range(count)]
    world.add_processes([Gossip() for _ in range(count)], ring, cost_ns=cost_ns)
    world.run_to_end()
    return world
