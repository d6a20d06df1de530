"""The world: nodes, a network and virtual time, made from one seed. The API for notebooks.

    world = World(seed=1)
    mesh = world.add_mesh(4)
    world.run_until(lambda: mesh.meshed, limit_ms=5_000)
    mesh[0].publish(b"note")
    world.run_for(2_000)
    mesh[0].view().vertices

Hosts run the real core. Own behaviours are a `Process`, own checks an `Observer`. Nothing outside
the seed and the calls decides anything: the same program gives the same `digest`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dag.canonical import encode
from meshnode.core.commands import Connect
from meshnode.core.messages import Message, encode_message
from meshnode.core.settings import Limits, Settings, Timing
from simulations.collecting import collect_rarely
from simulations.costs import Costs
from simulations.disk import NO_PAST, Past
from simulations.errors import SimulationError, SimulationFailed, Unreached
from simulations.fidelity import FIDELITIES, Fidelity
from simulations.history import make_past
from simulations.host import Host
from simulations.identities import Identity, make_genesis, make_identity
from simulations.kernel import NS_PER_MS, Kernel, TieBreak
from simulations.links import Links
from simulations.mesh import Mesh
from simulations.network import Network, NetworkSettings, describe
from simulations.observers import Observer, Observers, take_guests
from simulations.process import START, Context, Process
from simulations.streams import Streams

if TYPE_CHECKING:
    from dag.genesis import Parameters, Suite

Result = TypeVar("Result")
POLL_MS = 10
"""How often `run_until` looks, in virtual time."""


class World:
    """Everything of one simulation."""

    def __init__(
        self,
        seed: int = 0,
        *,
        fidelity: Fidelity = "cached",
        network: NetworkSettings | None = None,
        tie_break: TieBreak = "fifo",
        traced: bool = True,
    ) -> None:
        """Make an empty world.

        Args:
            seed: All that is random follows from it.
            fidelity: How much of the real work is done on every hop; see `simulations.fidelity`.
            network: Latency, loss, bandwidth.
            tie_break: Who goes first of two events at one time; `random` finds races.
            traced: Whether to keep the digest and the last events.
        """
        assert fidelity in FIDELITIES, f"fidelity is one of {', '.join(FIDELITIES)}"
        self.seed = seed
        self.fidelity = fidelity
        self.streams = Streams(seed)
        self.kernel = Kernel(
            tie_break=tie_break, tie_stream=self.streams.get("ties"), traced=traced
        )
        self.network = Network(
            self.kernel, network or NetworkSettings(), self.streams.get("network")
        )
        self.links = Links(self.kernel, self.network)
        self.observers = Observers()
        self.nodes: list[Host | Context] = []
        """By index, in the order added."""
        self._encoded: tuple[Message | None, bytes] = (None, b"")
        for observer in take_guests():
            self.add_observer(observer)

    # --- who is in it ---------------------------------------------------------------------------

    def add_mesh(
        self,
        count: int,
        *,
        suite: Suite = "ed25519",
        costs: Costs | None = None,
        timing: Timing | None = None,
        limits: Limits | None = None,
        known_members: bool = False,
        validates: bool = False,
        seats: int = 0,
        parameters: Parameters | None = None,
        start: bool = True,
    ) -> Mesh:
        """Add hosts that found a network of their own, and start them.

        The first 128 are founders, who know each other's addresses; where there are more, the
        network is open and the others are led to one founder each. With `known_members` all have
        joined long ago: everybody holds everybody's profile, and only connections are missing.
        With `validates` the founders make blocks, and so agree on one order; `seats` of them are
        the first committee, all by default. `parameters` are the numbers of the network's genesis.
        """
        base = len(self.nodes)
        identities = [
            make_identity(self.streams.derive(f"identity {base + n}"), f"node-{base + n}", suite)
            for n in range(count)
        ]
        genesis = make_genesis(identities, suite, seats=seats or count, parameters=parameters)
        past = make_past(genesis, identities) if known_members else NO_PAST
        hosts = []
        for number, identity in enumerate(identities):
            settings = Settings(
                genesis=genesis,
                author=identity.author,
                transport=identity.transport,
                addresses=identity.addresses,
                profile=encode(identity.profile),
                agent="simulation",
                validates=validates,
                timing=timing or Timing(),
                limits=limits or Limits(),
            )
            host = self.add_host(identity, settings, costs=costs, past=past, start=False)
            if number >= len(genesis.founders) and not known_members:
                founder = identities[number % len(genesis.founders)]
                host.connect_at_start = (Connect(founder.transport, founder.addresses),)
            hosts.append(host)
        if start:
            with collect_rarely():
                for host in hosts:
                    host.start()
        return Mesh(self, hosts)

    def add_host(
        self,
        identity: Identity,
        settings: Settings,
        *,
        costs: Costs | None = None,
        past: Past = NO_PAST,
        start: bool = True,
        make: type[Host] = Host,
    ) -> Host:
        """Add one host; two with one identity are twins (see `links.set_route`)."""
        index = len(self.nodes)
        host = make(self, index, identity, settings, costs or Costs(), past=past)
        self._register(host)
        self.links.add(host)
        if start:
            host.start()
        return host

    def add_process(
        self, process: Process, neighbours: Sequence[int] = (), *, cost_ns: int = 0
    ) -> Context:
        """Add one node with a behaviour of its own; `cost_ns` is the CPU time of a message."""
        index = len(self.nodes)
        context = Context(
            index,
            process,
            neighbours,
            kernel=self.kernel,
            network=self.network,
            streams=self.streams,
            cost_ns=cost_ns,
        )
        self._register(context)
        self.kernel.schedule(self.kernel.now_ns, index, START)
        return context

    def add_processes(
        self,
        processes: Iterable[Process],
        topology: Sequence[Sequence[int]] | None = None,
        *,
        cost_ns: int = 0,
    ) -> list[Context]:
        """Add nodes whose neighbours a topology names by their position among these nodes."""
        base = len(self.nodes)
        added = []
        for number, process in enumerate(processes):
            near = () if topology is None else tuple(base + other for other in topology[number])
            added.append(self.add_process(process, near, cost_ns=cost_ns))
        return added

    def _register(self, node: Host | Context) -> None:
        self.nodes.append(node)
        self.kernel.register(node.index, node.handle)

    @property
    def hosts(self) -> list[Host]:
        """The nodes that run the real core."""
        return [node for node in self.nodes if isinstance(node, Host)]

    def add_observer(self, observer: Observer) -> None:
        """Let a checker, a measurement or a picture look on."""
        self.observers.add(observer)
        self.kernel.watchers = self.observers.on_event
        self.network.watchers = self.observers.on_launched
        observer.on_added(self)

    # --- time -----------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Virtual time in whole milliseconds; hosts' clocks may differ."""
        return self.kernel.now_ns // NS_PER_MS

    @property
    def digest(self) -> str:
        """What has happened so far, in 32 hex digits."""
        return self.kernel.digest

    def at(self, time_ms: float, action: Callable[..., object], *arguments: object) -> None:
        """Call something at a virtual time."""
        self.kernel.at(int(time_ms * NS_PER_MS), action, *arguments)

    def run_for(self, duration_ms: float) -> None:
        """Let virtual time pass. Raises `SimulationFailed` when anything in the world raises."""
        self._run(self.kernel.now_ns + int(duration_ms * NS_PER_MS))
        self._end()

    def run_until(self, condition: Callable[[], bool], limit_ms: float) -> int:
        """Let time pass until a condition holds; answers how long it took, in milliseconds.

        The condition is looked at every 10 ms of virtual time. Raises `Unreached` at the limit, and
        `SimulationFailed` when anything in the world raises.
        """
        start_ns = self.kernel.now_ns
        limit_ns = start_ns + int(limit_ms * NS_PER_MS)
        while not condition():
            if self.kernel.now_ns >= limit_ns:
                raise Unreached(
                    f"the condition did not hold within {limit_ms} ms (seed {self.seed})",
                    hint="give it longer, or look at the nodes with `world.nodes[0].view()`",
                )
            self._run(min(limit_ns, self.kernel.now_ns + POLL_MS * NS_PER_MS))
        self._end()
        return (self.kernel.now_ns - start_ns) // NS_PER_MS

    def run_to_end(self) -> None:
        """Run until nothing is left to happen; never ends where a timer is always set."""
        while (next_ns := self.kernel.next_ns) is not None:
            self._run(next_ns)
        self._end()

    def step(self) -> bool:
        """Let one event happen; False if there is none."""
        return self._guard(self.kernel.step)

    def _run(self, until_ns: int) -> None:
        with collect_rarely():
            self._guard(self.kernel.run, until_ns)

    def _end(self) -> None:
        for watch in self.observers.on_end:
            self._guard(watch, self)

    def _guard(self, action: Callable[..., Result], *arguments: object) -> Result:
        try:
            return action(*arguments)
        except SimulationFailed:
            raise
        except Exception as error:  # behaviours and checkers are anybody's: any raise is a finding
            message = str(error) if isinstance(error, SimulationError) else repr(error)
            raise SimulationFailed(
                message,
                seed=self.seed,
                now_ns=self.kernel.now_ns,
                events=self.kernel.events,
                digest=self.digest,
                recent=tuple(self.kernel.recent),
            ) from error

    # --- faults ---------------------------------------------------------------------------------

    def cut(
        self, left: Iterable[Host | Context], right: Iterable[Host | Context]
    ) -> tuple[Any, ...]:
        """Part two groups both ways; answers what `heal` takes."""
        return self.cut_one_way(left, right, both_ways=True)

    def cut_one_way(
        self,
        sources: Iterable[Host | Context],
        targets: Iterable[Host | Context],
        *,
        both_ways: bool = False,
    ) -> tuple[Any, ...]:
        """Keep messages from arriving in one direction; connections need both, and break."""
        cuts = self.network.cut(
            [node.index for node in sources],
            [node.index for node in targets],
            both_ways=both_ways,
        )
        self.links.sever()
        return cuts

    def heal(self, cuts: Iterable[Any] | None = None) -> None:
        """Undo these cuts, or all; cores find each other again by themselves."""
        self.network.heal(cuts)

    # --- results --------------------------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """The row of a result that every run has: what was simulated, how truly, and how much."""
        return {
            "seed": self.seed,
            "fidelity": self.fidelity,
            "nodes": len(self.nodes),
            "virtual_ms": self.now_ms,
            "events": self.kernel.events,
            "digest": self.digest,
            **describe(self.network.counters),
        }

    def encode(self, message: Message) -> bytes:
        """A message's frame; one message sent to many is encoded once."""
        last, frame = self._encoded
        if last is not message:
            frame = encode_message(message)
            self._encoded = (message, frame)
        return frame
