"""One run of a committee under faults: a pure function of its spec.

While things go wrong, the order must stay one. Then everything heals but the liars, and within a
bound whatever honest validators are brought must be ordered at all of them; then all fall silent.
"""

from __future__ import annotations

import msgspec

from consensus.pacemaker import PacemakerSettings
from simulations.consensus.liars import LIARS
from simulations.consensus.mesh import MeshOptions, ValidatorMesh
from simulations.consensus.spec import MOMENTS, ROUNDS_MIN, Fault, Spec
from simulations.consensus.validator import Moment, Validator
from simulations.errors import CheckFailed, SimulationFailed, Unreached
from simulations.kernel import NS_PER_MS
from simulations.latency import Lognormal
from simulations.network import NetworkSettings
from simulations.world import World

SUBMIT_EVERY_MS = 40
VIEW_EVERY_MS = 150
QUIET_AFTER_MS = 3_000
QUIET_FOR_MS = 1_500
PUT_OUT_MS = 10_000


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
        for fault in self.spec.faults:
            if fault.kind not in {"twins", *LIARS}:
                self.world.at(fault.at_ms, self._begin, fault)
        self._schedule_views()
        for at_ms in range(1, self.spec.safety_ms, SUBMIT_EVERY_MS):
            self.world.at(at_ms, self._submit)
        self.world.run_for(self.spec.safety_ms)
        self._heal()
        self._demand_progress()
        self.mesh.ledger.check_end()
        self._demand_quiet()
        self._demand_all_put_out()

    def _submit(self) -> bytes:
        authors = [one.author for one in self.mesh.honest]
        return self.mesh.submit(self.world.streams.get("workload").choice(authors))

    # --- faults ---------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        one = self.mesh.validators[fault.node % len(self.spec.stakes)]
        end_ms = fault.at_ms + fault.for_ms
        match fault.kind:
            case "crash":
                self._crash(one, MOMENTS[fault.amount])
                self.world.at(end_ms, self._restart, one)
            case "cut":
                self._cut(fault)
            case "clog":
                for target in self.mesh.list_targets(one):
                    self.world.network.clog(one.context.index, target, end_ms * NS_PER_MS)
            case "clock":
                one.clock_offset_ms = fault.amount
                self.world.at(end_ms, self._set_clock, one)
            case _:
                share = fault.amount / 100
                loss, double = (share, 0.0) if fault.kind == "loss" else (0.0, share)
                self.world.network.change(
                    NetworkSettings(
                        latency=self.calm.latency, loss=loss, duplicate=double, reorder=share
                    )
                )
                self.world.at(end_ms, self.world.network.change, self.calm)

    def _crash(self, one: Validator, moment: Moment) -> None:
        if not self.mesh.is_honest(one.author):
            return
        if moment:
            one.die_at = moment
        else:
            self.mesh.crash(one)

    def _restart(self, one: Validator) -> None:
        one.die_at = ""
        self.mesh.restart(one)

    def _cut(self, fault: Fault) -> None:
        nodes = range(len(self.mesh.validators))
        left = [node for node in nodes if fault.node >> self.mesh.validators[node].author & 1]
        right = [node for node in nodes if node not in left]
        cuts = self.world.network.cut(left, right)
        self.world.at(fault.at_ms + fault.for_ms, self.world.network.heal, cuts)

    def _set_clock(self, one: Validator) -> None:
        one.clock_offset_ms = 0

    def _schedule_views(self) -> None:
        """Let viewers of twins look at the one or the other, ever anew."""
        stream = self.world.streams.get("views")
        twins = [fault.node for fault in self.spec.faults if fault.kind == "twins"]
        for at_ms in range(1, self.spec.safety_ms, VIEW_EVERY_MS) if twins else ():
            if at_ms == 1 or stream.random() < 0.3:
                views = {
                    (one.author, twin): stream.randrange(2)
                    for one in self.mesh.honest
                    for twin in twins
                }
                self.world.at(at_ms, self.mesh.views.update, views)

    def _heal(self) -> None:
        self.world.network.heal()
        self.world.network.unclog()
        self.world.network.change(self.calm)
        for one in self.mesh.honest:
            one.clock_offset_ms = 0
            self._restart(one)

    # --- what must come of it -------------------------------------------------------------------

    def _demand_progress(self) -> None:
        """Bring batches until there were rounds enough, and all of them must be ordered."""
        begun_ms = self.world.now_ms
        brought: list[bytes] = []

        def is_done() -> bool:
            is_long = min(self._count_rounds()) >= ROUNDS_MIN
            if not is_long or len(brought) < len(self.spec.stakes):
                brought.append(self._submit())
                return False
            ledger = self.mesh.ledger
            return all(
                ledger.has_output(one, batch) for one in self.mesh.honest for batch in brought
            )

        self.world.run_until(is_done, self.spec.heal_ms)
        self._settled_ms = self.world.now_ms - begun_ms

    def _demand_quiet(self) -> None:
        self.world.run_for(QUIET_AFTER_MS)
        before = len(self.mesh.ledger.made)
        self.world.run_for(QUIET_FOR_MS)
        made = len(self.mesh.ledger.made) - before
        if made:
            raise CheckFailed("quiet", f"{made} blocks are made though nobody says anything")
        heights = {self.mesh.ledger.get_height(one) for one in self.mesh.honest}
        if len(heights) > 1:
            raise CheckFailed("agreement", f"heights are {sorted(heights)} when all is said")

    def _demand_all_put_out(self) -> None:
        """I9: woken again, honest validators put out every block of theirs above the horizon."""
        ledger = self.mesh.ledger
        made = list(ledger.made.items())
        left = [(one, slot, block_id) for one in self.mesh.honest for slot, block_id in made]

        def is_done() -> bool:
            nonlocal left
            left = [
                (one, slot, block_id)
                for one, slot, block_id in left
                if slot[1] > one.ordering.horizon and not ledger.has_output(one, block_id)
            ]
            if left:
                self._submit()
            return not left

        try:
            self.world.run_until(is_done, PUT_OUT_MS)
        except Unreached:
            one, slot, _ = left[0]
            raise CheckFailed("I9 output", f"block {slot} is lost at {one.author}") from None

    def _count_rounds(self) -> list[int]:
        return [one.ordering.store.highest_round for one in self.mesh.honest]

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
            kinds=self.spec.kinds,
            check=check,
            message=message,
            digest=self.world.digest,
            events=self.world.kernel.events,
            virtual_ms=self.world.now_ms,
            rounds=min(self._count_rounds()),
            commits=len(self.mesh.ledger.commits),
            settled_ms=self._settled_ms,
        )
