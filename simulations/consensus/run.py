"""One run of a committee under faults: a pure function of its spec.

While things go wrong, the order must stay one. Then everything heals but the liars, and within a
bound whatever honest validators are brought must be ordered at all of them; then all fall silent.
"""

from __future__ import annotations

import msgspec

from consensus.pacemaker import PacemakerSettings
from simulations.consensus.demands import Demands
from simulations.consensus.injector import Injector
from simulations.consensus.liars import LIARS
from simulations.consensus.mesh import MeshOptions, ValidatorMesh
from simulations.consensus.spec import Spec
from simulations.errors import CheckFailed, SimulationFailed, Unreached
from simulations.latency import Lognormal
from simulations.network import NetworkSettings
from simulations.world import World

SUBMIT_EVERY_MS = 40


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; equal for equal specs."""

    seed: int
    members: int
    profile: str
    kinds: tuple[str, ...]
    check: str = ""
    """The promise that was broken; empty if none was."""
    message: str = ""
    digest: str
    events: int
    virtual_ms: int
    rounds: int
    commits: int
    settled_ms: int
    """From the end of the faults until all was ordered everywhere; -1 if it never was."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise held."""
        return not self.check


def simulate(spec: Spec) -> Result:
    """Simulate one run of the code as it is, whatever bug the spec names."""
    return Run(spec).carry_out()


class Run:
    """A committee, its faults and its phases."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.calm = NetworkSettings(latency=Lognormal(spec.median_ms, spec.sigma))
        self.world = World(spec.seed, network=self.calm, tie_break="random")
        options = MeshOptions(
            profile=spec.profile,
            leaders_per_round=spec.leaders_per_round,
            reputation_window=spec.reputation_window,
            gc_depth=spec.gc_depth,
            pace=PacemakerSettings(leader_timeout_ms=spec.leader_timeout_ms),
            drained=spec.drained,
            pushes_history=spec.pushes_history,
            write_ms=spec.write_ms,
        )
        self.mesh = ValidatorMesh(
            self.world,
            spec.stakes,
            options,
            twins=[fault.node for fault in spec.faults if fault.kind == "twins"],
            make={fault.node: LIARS[fault.kind] for fault in spec.faults if fault.kind in LIARS},
        )
        self._injector = Injector(self.mesh, spec.faults, self.calm)
        self._demands = Demands(self.mesh, spec, self._submit)
        self._settled_ms = -1

    def carry_out(self) -> Result:
        """Go through all phases, and say how it ended."""
        check = message = ""
        try:
            self._go()
        except SimulationFailed as error:
            cause = error.__cause__
            check = (
                cause.check if isinstance(cause, CheckFailed) else f"raised-{type(cause).__name__}"
            )
            message = error.message
        except Unreached as error:
            check, message = "liveness", f"{error.message}: {self._describe()}"
        except CheckFailed as error:
            check, message = error.check, error.message
        return self._report(check, message)

    def _go(self) -> None:
        self._injector.schedule(self.spec.safety_ms)
        for at_ms in range(1, self.spec.safety_ms, SUBMIT_EVERY_MS):
            self.world.at(at_ms, self._submit)
        self.world.run_for(self.spec.safety_ms)
        if self.spec.faults:
            self._injector.insist(self._submit)
        self._injector.heal()
        demands = self._demands
        self._settled_ms = demands.demand_progress()
        demands.demand_pace()
        self.mesh.ledger.check_end(self.world.streams.get("end"))
        demands.demand_quiet()
        demands.demand_all_put_out()

    def _submit(self) -> bytes:
        authors = [one.author for one in self.mesh.honest]
        return self.mesh.submit(self.world.streams.get("workload").choice(authors))

    def _describe(self) -> str:
        return "; ".join(
            f"{one.author} up {one.context.is_up} own {one.pacemaker.own_round} "
            f"entered {one.pacemaker.entered_round} held {one.ordering.store.highest_round} "
            f"cursor {one.ordering.cursor.round} waiting {len(one.inbox)} "
            f"recovering {one.pacemaker.is_recovering} stopped {one.pacemaker.is_stopped} "
            f"connected {one.pacemaker.is_connected}"
            for one in self.mesh.honest
        )

    def _report(self, check: str, message: str) -> Result:
        return Result(
            seed=self.spec.seed,
            members=len(self.spec.stakes),
            profile=self.spec.profile,
            kinds=self._injector.happened,
            check=check,
            message=message,
            digest=self.world.digest,
            events=self.world.kernel.events,
            virtual_ms=self.world.now_ms,
            rounds=min(self._demands.count_rounds()),
            commits=len(self.mesh.ledger.commits),
            settled_ms=self._settled_ms,
        )
