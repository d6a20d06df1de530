"""One run of the fuzzer: a pure function of its spec.

While things go wrong, safety must hold; then everything heals, and within a bound all honest hosts
must agree, accept new publications, and have them everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from dag.genesis import Parameters
from dag.types import Kind
from meshnode.core.commands import Publish
from meshnode.core.settings import Limits, Timing
from simulations.books import Books
from simulations.checkers import (
    Agreement,
    Authorship,
    Bounds,
    Durability,
    Fairness,
    Proofs,
)
from simulations.errors import CheckFailed, SimulationFailed, Unreached
from simulations.faults import find_clock_spread_ms, find_dishonest, find_kinds
from simulations.fuzzing.council import Council
from simulations.fuzzing.mutants import switch_on
from simulations.fuzzing.pruning import Pruning, keep_rounds
from simulations.fuzzing.sometimes import Sometimes
from simulations.fuzzing.spec import VERTICES_MIN, Spec
from simulations.injector import Injector
from simulations.kernel import NS_PER_MS
from simulations.latency import Lognormal
from simulations.network import NetworkSettings
from simulations.order_checker import Order
from simulations.world import World

if TYPE_CHECKING:
    from collections.abc import Collection

    from meshnode.core.views import NodeSummary
    from simulations.host import Host

KNOWLEDGE_SHARE = 0.2
BODY_BYTES_MAX = 300
OVERLAY_LIMITS = Limits(full_mesh_max=3, outbound_min=2, inbound_max=2, passive_max=8, eager_min=2)
"""So that a handful of hosts has to choose its neighbours; equal heads show that they are joined."""
OVERLAY_TIMING = Timing(refused_ms=5_000, shuffle_ms=5_000, cross_check_ms=10_000)
TOLD_MS = 1_000
"""A commit is decided before its record is on disk; within this it is told."""
PROGRESS_MS = 2_000
"""New publications after agreement are spread over this."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; equal for equal specs."""

    seed: int
    nodes: int
    fidelity: str
    kinds: tuple[str, ...]
    faults: int
    check: str = ""
    """The promise that was broken; empty if none was."""
    message: str = ""
    digest: str
    events: int
    virtual_ms: int
    agreed_ms: int
    """From the end of the faults to agreement; -1 if there was none."""
    vertices: int
    """Held by every honest host at the end; 0 where a run did not reach it."""
    epochs: int = 0
    """Changes of committee."""
    reached: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every promise held."""
        return not self.check


def run(spec: Spec) -> Result:
    """Simulate one run."""
    rounds = 0 if spec.pruning is None else spec.pruning.retained_rounds
    with switch_on(spec.mutant), keep_rounds(rounds):
        return Run(spec).carry_out()


class Run:
    """A world, its faults, its checkers and its phases."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.world = World(
            spec.seed,
            fidelity=spec.fidelity,
            tie_break=spec.tie_break,
            network=NetworkSettings(latency=Lognormal(spec.median_ms, spec.sigma), loss=spec.loss),
        )
        dishonest = find_dishonest(spec.faults)
        self.is_ordered = spec.order and 3 * len(dishonest) < spec.nodes
        """Whether the mesh is to agree on an order, and its liars are few enough for that."""
        self.mesh = self.world.add_mesh(
            spec.nodes,
            suite=spec.suite,
            limits=OVERLAY_LIMITS if spec.overlay else None,
            timing=OVERLAY_TIMING if spec.overlay else None,
            validates=self.is_ordered,
            seats=self._choose_seats(dishonest),
            parameters=_make_parameters(spec.pruning),
            start=False,
        )
        for place in spec.pruning.hosts if spec.pruning is not None else ():
            self.mesh[place].settings = replace(self.mesh[place].settings, prunes=True)
        self.honest = [host for host in self.mesh if host.index not in dishonest]
        self.sometimes = Sometimes()
        self.books = Books(self.honest)
        self.durability = Durability(self.honest)
        self.proofs = Proofs(self.books)
        self.order = Order(self.honest, self.books)
        seats = [one.author for one in self.mesh[0].settings.genesis.committee]
        self.council = Council(self.world, self.honest, seats)
        self.is_changing = self.is_ordered and not spec.overlay
        """Whether the committee changes by vote."""
        for observer in (
            Bounds(self.books, len(dishonest)),
            self.sometimes,
            self.books,
            Authorship(self.honest),
            self.durability,
            Fairness(self.honest),
            self.proofs,
            self.order,
            self.council,
            Agreement(self.honest, self.books),
        ):
            self.world.add_observer(observer)
        self.injector = Injector(self.world, self.mesh, spec.faults)
        # What a clock far ahead stamped is held elsewhere until that time has come there.
        self._limit_ms = spec.heal_ms + find_clock_spread_ms(spec.faults)
        self._agreed_ms = -1
        self._vertices = 0

    def carry_out(self) -> Result:
        """Go through all phases, and say how it ended."""
        check = message = ""
        try:
            self._go()
        except SimulationFailed as error:
            check, message = name_failure(error), error.message
        except Unreached as error:
            check, message = "liveness", f"{error.message}: {self._describe_stuck()}"
        except CheckFailed as error:
            check, message = error.check, error.message
        return self._report(check, message)

    def _go(self) -> None:
        for host in self.injector.hosts:
            host.start()
        self._schedule_publications()
        if self.is_changing:
            self.council.schedule(self.spec.safety_ms)
        self.world.run_for(self.spec.safety_ms)
        self.injector.heal()
        self._agreed_ms = self.world.run_until(self._is_settled, self._limit_ms)
        if any(type(fault).__name__ == "Cut" for fault in self.spec.faults):
            self.sometimes.note("partition healed")
        self._restore()
        self._demand_progress()

    def _restore(self) -> None:
        """Let hosts come back from old copies, one after the other, and speak at once."""
        for host in self.injector.find_restored(self.honest):
            self.durability.excuse(host)
            self.injector.restore(host, self.honest)
            host.publish(b"restored")
            self.world.run_until(self._is_settled, self._limit_ms)
            self.durability.end_excuse(host)
            self.world.heal()
            self.sometimes.note("restored from an old copy")

    def _schedule_publications(self) -> None:
        stream = self.world.streams.get("workload")
        hosts = self.injector.hosts
        for _ in range(self.spec.publications):
            host = hosts[stream.randrange(len(hosts))]
            at_ms = stream.randrange(200, self.spec.safety_ms)
            body = stream.randbytes(stream.randrange(BODY_BYTES_MAX))
            picks = (stream.random() < KNOWLEDGE_SHARE, stream.random())
            self.world.at(at_ms, self._publish, host, body, picks)

    def _publish(self, host: Host, body: bytes, picks: tuple[bool, float]) -> None:
        if not host.is_up:
            return
        names, place = picks
        store = list(self.books.stores[host.index])
        knowledge = (store[int(place * len(store))],) if names and store else ()
        host.submit(Publish(Kind.NOTE, body, knowledge))

    def _choose_seats(self, dishonest: Collection[int]) -> int:
        """How many of the first hosts are the first committee, with few enough liars among them."""
        seats = self.world.streams.get("seats").randint(1, self.spec.nodes)
        lying = sum(index < seats for index in dishonest)
        return seats if self.is_ordered and 3 * lying < seats else self.spec.nodes

    def _is_settled(self) -> bool:
        if self.is_changing and not self.council.is_done:
            return False
        first = self.honest[0].summarise()
        return all(self._is_settled_like(first, host.summarise()) for host in self.honest) and (
            not any(map(self.proofs.find_unproved, self.honest))
        )

    def _is_settled_like(self, first: NodeSummary, one: NodeSummary) -> bool:
        """Whether a host has nothing left to do, and holds what the first one holds."""
        return (
            one.heads_digest == first.heads_digest
            and one.speech == "open"
            and not one.publications_queued
            and not _count_left(one)
            and one.ready >= (1 if self.spec.overlay else len(self.honest) - 1)
            and _list_forked(one) == _list_forked(first)
            and self._is_ordered_like(first, one)
        )

    def _is_ordered_like(self, first: NodeSummary, one: NodeSummary) -> bool:
        """Whether everything is in the order; where validators are not all neighbours it may wait."""
        if self.spec.overlay or not self.is_ordered:
            return True
        return one.commit_index == first.commit_index and not one.unordered

    def _demand_progress(self) -> None:
        held = self._count_vertices()
        count = max(len(self.honest), VERTICES_MIN - held)
        before = self._count_acknowledged()
        for number in range(count):
            at_ms = self.world.now_ms + number * PROGRESS_MS // count
            host = self.honest[number % len(self.honest)]
            self.world.at(at_ms, host.publish, number.to_bytes(2, "big"))

        def is_done() -> bool:
            after = self._count_acknowledged()
            return after >= before + count and self._is_settled()

        self.world.run_until(is_done, self._limit_ms)
        self._check_end()

    def _count_vertices(self) -> int:
        """What every honest host holds; where some is forgotten, what was ever held by any."""
        if self.spec.pruning is not None:
            return len(self.books.vertices)
        return min(host.view().vertices for host in self.honest)

    def _count_acknowledged(self) -> int:
        """Publications of honest hosts; what a liar told itself keeps nobody from waiting."""
        acknowledged = self.durability.acknowledged
        return sum(len(acknowledged.get(host.index, ())) for host in self.honest)

    def _check_end(self) -> None:
        for owner in self.honest:
            for vertex_id in self.durability.acknowledged.get(owner.index, ()):
                for host in self.honest:
                    is_held = vertex_id in self.books.stores[host.index]
                    if not is_held and not self.books.is_below(host, vertex_id):
                        name = f"{vertex_id.hex()[:12]} of {owner.identity.name}"
                        raise CheckFailed("survives", f"{host.identity.name} lacks {name}")
        self._check_ordered()
        self._vertices = self._count_vertices()

    def _check_ordered(self) -> None:
        if self.spec.overlay or not self.is_ordered:
            return
        self.world.run_for(TOLD_MS)
        self.council.check_end()
        for owner in self.honest:
            for vertex_id in self.order.find_missing(
                self.durability.acknowledged.get(owner.index, ())
            ):
                name = f"{vertex_id.hex()[:12]} of {owner.identity.name}"
                raise CheckFailed("ordered", f"{name} has no place in the order")

    def _describe_stuck(self) -> str:
        return "; ".join(
            f"{host.identity.name} {view.speech} {len(view.peers)} peers {view.vertices} vertices "
            f"heads {view.heads_digest.hex()[:8]} queued {view.publications_queued} "
            f"commit {view.commit_index} unordered {view.unordered} "
            f"waiting {view.quarantined} forks {len(view.forks)} "
            f"unproved {len(self.proofs.find_unproved(host))}"
            for host, view in ((host, host.view()) for host in self.honest)
        )

    def _report(self, check: str, message: str) -> Result:
        return Result(
            seed=self.spec.seed,
            nodes=self.spec.nodes,
            fidelity=self.spec.fidelity,
            kinds=find_kinds(self.spec.faults),
            faults=len(self.spec.faults),
            check=check,
            message=message,
            digest=self.world.digest,
            events=self.world.kernel.events,
            virtual_ms=self.world.kernel.now_ns // NS_PER_MS,
            agreed_ms=self._agreed_ms,
            vertices=self._vertices,
            epochs=self.council.epochs,
            reached=self.sometimes.reached,
        )


def _make_parameters(pruning: Pruning | None) -> Parameters | None:
    if pruning is None:
        return None
    return Parameters(gc_commits=pruning.gc_commits, checkpoint_commits=pruning.checkpoint_commits)


def _list_forked(view: NodeSummary) -> list[bytes]:
    return sorted(fork.author for fork in view.forks)


def _count_left(view: NodeSummary) -> int:
    """What must not be left over when all is well."""
    return view.quarantined + view.held + view.fetching + view.unknown_authors


def name_failure(error: SimulationFailed) -> str:
    """The broken promise; for anything else that raised, its class."""
    cause = error.__cause__
    return cause.check if isinstance(cause, CheckFailed) else f"raised-{type(cause).__name__}"
