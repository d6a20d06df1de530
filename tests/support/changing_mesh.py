"""A simulated mesh whose members come one after the other, and leave, crash and come back.

    scene = ChangingMesh(founders=4, members=14, limits=Limits(full_mesh_max=6))
    scene.begin()
    scene.join()
    scene.publish_every(250, until_ms=60_000)
    scene.leave(scene.mesh[7])
    scene.lost                           # what some running member lacks

Only the founders stand in the genesis; whoever else joins is led to one of them, as a ticket does.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from dag.canonical import encode
from meshnode.core.commands import Connect, Leave
from meshnode.core.events import Published
from meshnode.core.settings import Limits, Settings
from simulations import World
from simulations.costs import Costs
from simulations.identities import make_genesis, make_identity
from simulations.latency import Uniform
from simulations.mesh import Mesh
from simulations.network import NetworkSettings
from simulations.observers import Observer

if TYPE_CHECKING:
    from dag.genesis import Parameters
    from meshnode.core.events import Event
    from simulations.host import Host

BODY_BYTES: Final = 200
GOODBYE_MS: Final = 500
"""What was said before is out by then."""
SPREAD_MS: Final = 2_000
"""What was published so long before a crash has left its author."""


class _Said(Observer):
    """What was published, by whom and when."""

    def __init__(self) -> None:
        self.published: dict[bytes, tuple[Host, int]] = {}

    def on_fact(self, host: Host, event: Event) -> None:
        if isinstance(event, Published):
            self.published[event.signed.id] = (host, host.world.now_ms)


class ChangingMesh:
    """Members of one open network, of whom some run."""

    def __init__(
        self,
        *,
        founders: int,
        members: int,
        seed: int = 1,
        limits: Limits | None = None,
        parameters: Parameters | None = None,
        validates: bool = False,
        prunes: bool = False,
    ) -> None:
        network = NetworkSettings(latency=Uniform(10.0, 50.0))
        self.world = World(seed, fidelity="objects", network=network, traced=False)
        self.chance = self.world.streams.get("changes")
        self._said = _Said()
        self.world.add_observer(self._said)
        identities = [
            make_identity(self.world.streams.derive(f"identity {number}"), f"m{number}", "ed25519")
            for number in range(members)
        ]
        genesis = make_genesis(identities[:founders], "ed25519", parameters=parameters)
        opened = replace(genesis.parameters, open=True)
        genesis = replace(genesis, parameters=opened)
        hosts = []
        for number, identity in enumerate(identities):
            settings = Settings(
                genesis=genesis,
                author=identity.author,
                transport=identity.transport,
                addresses=identity.addresses,
                profile=encode(identity.profile),
                agent="simulation",
                limits=limits or Limits(),
                validates=validates,
                prunes=prunes,
            )
            host = self.world.add_host(identity, settings, costs=Costs(), start=False)
            if number >= founders:
                founder = identities[number % founders]
                host.connect_at_start = (Connect(founder.transport, founder.addresses),)
            hosts.append(host)
        self.mesh = Mesh(self.world, hosts)
        self.founders = hosts[:founders]
        self._crashed_ms: dict[int, int] = {}

    def begin(self) -> None:
        """Start the founders, and let them meet."""
        for host in self.founders:
            host.start()
        self.world.run_until(lambda: self.mesh.meshed, 10_000)

    # --- who comes and goes ---------------------------------------------------------------------

    def join(self) -> Host:
        """Start the next member that never ran, or else one that is away."""
        away = [host for host in self.mesh if not host.is_up]
        fresh = [host for host in away if not host.life]
        host = fresh[0] if fresh else self.chance.choice(away)
        host.start()
        return host

    def leave(self, host: Host) -> None:
        """Say goodbye, and end."""
        host.submit(Leave("done for today"))
        self.world.at(self.world.now_ms + GOODBYE_MS, self._end, host)

    def _end(self, host: Host) -> None:
        if host.is_up:
            host.crash()

    def crash(self, host: Host) -> None:
        """End without a word."""
        self._crashed_ms[host.index] = self.world.now_ms
        host.crash()

    # --- what is said ---------------------------------------------------------------------------

    def publish_every(self, interval_ms: float, until_ms: float, *, count: int = 1) -> None:
        """Let any running member say so many things in a row again and again, until a time."""
        author = self.chance.choice(self.mesh.up)
        for _ in range(count):
            author.publish(self.chance.randbytes(BODY_BYTES))
        next_ms = self.world.now_ms + interval_ms
        if next_ms < until_ms:
            again = partial(self.publish_every, interval_ms, until_ms, count=count)
            self.world.at(next_ms, again)

    @property
    def published(self) -> list[bytes]:
        """Ids of all that was told to be published."""
        return list(self._said.published)

    @property
    def lost(self) -> list[bytes]:
        """What some running member lacks, but for the last words of who crashed and is away."""
        return [
            vertex_id
            for vertex_id, (author, at_ms) in self._said.published.items()
            if not all(host.core.is_stored(vertex_id) for host in self.mesh.up)
            and (author.is_up or at_ms < self._crashed_ms.get(author.index, at_ms + 1) - SPREAD_MS)
        ]
