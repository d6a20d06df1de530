"""Makes the faults of a run happen to validators, and says which of them did happen.

A fault that is drawn may strike nobody: a cut with all on one side, a crash at a write that never
comes. What counts are effects: messages lost, processes gone, clocks wrong, lies told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulations.consensus.spec import KINDS_MIN, LYING_KINDS, MOMENTS, Fault, list_kinds
from simulations.kernel import NS_PER_MS
from simulations.network import NetworkSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulations.consensus.mesh import ValidatorMesh
    from simulations.consensus.validator import Moment, Validator

VIEW_EVERY_MS: Final = 150
INSISTED_MS: Final = 250
"""How long a fault lasts that is added because too few kinds have happened."""
INSISTED_AMOUNT: Final = {"clock": 3_000, "disk": 60, "loss": 50, "double": 50}
COUNTED: Final = {
    "loss": "lost",
    "double": "duplicated",
    "reorder": "held_back",
    "cut": "parted",
    "clog": "clogged",
}
"""Kinds that show in the counters of the network; reordering comes with loss and doubling."""


class Injector:
    """The faults of one mesh."""

    def __init__(self, mesh: ValidatorMesh, faults: Sequence[Fault], calm: NetworkSettings) -> None:
        self._mesh = mesh
        self._world = mesh.world
        self._faults = faults
        self._calm = calm

    def schedule(self, until_ms: int) -> None:
        """Let every fault begin and end at its time."""
        for fault in self._faults:
            if fault.kind not in LYING_KINDS:
                self._world.at(fault.at_ms, self._begin, fault)
        self._schedule_views(until_ms)

    @property
    def happened(self) -> tuple[str, ...]:
        """The kinds of fault that had an effect."""
        counters = self._world.network.counters
        seen = [kind for kind, name in COUNTED.items() if getattr(counters, name)]
        return tuple(sorted({*self._mesh.happened, *seen}))

    def insist(self, submit: Callable[[], object]) -> None:
        """Add faults until enough kinds of them have happened."""
        for kind in list_kinds(len(self._mesh.committee)):
            if len(self.happened) >= KINDS_MIN:
                return
            if kind not in self.happened:
                node = self._mesh.honest[0].author
                target = 1 << node if kind == "cut" else node
                amount = INSISTED_AMOUNT.get(kind, 0)
                self._begin(Fault(kind, self._world.now_ms, INSISTED_MS, target, amount))
                submit()
                self._world.run_for(2 * INSISTED_MS)

    def heal(self) -> None:
        """End everything but lies."""
        network = self._world.network
        network.heal()
        network.unclog()
        network.change(self._calm)
        for one in self._mesh.honest:
            if one.clock_offset_ms:
                self._set_clock(one, 0)
            self._set_disk(one, self._mesh.options.write_ms)
            self._restart(one)

    # --- one fault ------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        one = self._mesh.validators[fault.node % len(self._mesh.committee)]
        end_ms = fault.at_ms + fault.for_ms
        match fault.kind:
            case "crash":
                self._crash(one, MOMENTS[fault.amount])
                self._world.at(end_ms, self._restart, one)
            case "cut":
                self._cut(fault)
            case "clog":
                for target in self._mesh.list_targets(one):
                    self._world.network.clog(one.context.index, target, end_ms * NS_PER_MS)
            case "clock":
                self._set_clock(one, fault.amount)
                self._world.at(end_ms, self._set_clock, one, 0)
            case "disk":
                self._set_disk(one, fault.amount)
                self._world.at(end_ms, self._set_disk, one, self._mesh.options.write_ms)
            case _:
                self._worsen(fault)
                self._world.at(end_ms, self._world.network.change, self._calm)

    def _worsen(self, fault: Fault) -> None:
        share = fault.amount / 100
        loss, double = (share, 0.0) if fault.kind == "loss" else (0.0, share)
        self._world.network.change(
            NetworkSettings(latency=self._calm.latency, loss=loss, duplicate=double, reorder=share)
        )

    def _crash(self, one: Validator, moment: Moment) -> None:
        if not self._mesh.is_honest(one.author):
            return
        if moment:
            one.die_at = moment
        else:
            self._mesh.crash(one)

    def _restart(self, one: Validator) -> None:
        one.die_at = ""
        self._mesh.restart(one)

    def _cut(self, fault: Fault) -> None:
        nodes = range(len(self._mesh.validators))
        left = [node for node in nodes if fault.node >> self._mesh.validators[node].author & 1]
        right = [node for node in nodes if node not in left]
        cuts = self._world.network.cut(left, right)
        self._world.at(fault.at_ms + fault.for_ms, self._world.network.heal, cuts)

    def _set_clock(self, one: Validator, offset_ms: int) -> None:
        """Clocks are read once, at a start, and never run backwards after that."""
        if not one.context.is_up:
            one.clock_offset_ms = offset_ms
            return
        one.crash()
        one.clock_offset_ms = offset_ms
        one.restart()
        if offset_ms:
            self._mesh.note("clock")

    def _set_disk(self, one: Validator, write_ms: int) -> None:
        one.write_ms = write_ms

    def _schedule_views(self, until_ms: int) -> None:
        """Let viewers of twins look at the one or the other, ever anew."""
        stream = self._world.streams.get("views")
        twins = [fault.node for fault in self._faults if fault.kind == "twins"]
        for at_ms in range(1, until_ms, VIEW_EVERY_MS) if twins else ():
            if at_ms == 1 or stream.random() < 0.3:
                views = {
                    (one.author, twin): stream.randrange(2)
                    for one in self._mesh.honest
                    for twin in twins
                }
                self._world.at(at_ms, self._mesh.views.update, views)
