"""Makes a plan's faults happen in a world, and heals everything at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from meshnode.core.effects import Persist
from simulations.faults import (
    Byzantine,
    Crash,
    Cut,
    Drop,
    Fault,
    Hide,
    Jump,
    Pause,
    Restore,
    Skew,
    SlowHost,
    SlowLink,
    Twins,
)
from simulations.kernel import NS_PER_MS
from simulations.mutators import make_mutator
from simulations.observers import Observer
from simulations.twins import add_twin

if TYPE_CHECKING:
    from meshnode.core.effects import Effect
    from simulations.host import Host
    from simulations.mesh import Mesh
    from simulations.world import World


class Injector(Observer):
    """Schedules faults. An observer only to know when a host writes to its disk."""

    def __init__(self, world: World, mesh: Mesh, faults: Sequence[Fault]) -> None:
        self._world = world
        self._mesh = mesh
        self._armed: dict[int, Crash] = {}
        """By host, crashes that wait for the next transaction."""
        self.hosts: list[Host] = list(mesh)
        """Every host, twins at the end."""
        self._restores: dict[int, Restore] = {}
        """By host."""
        self._is_over = False
        world.add_observer(self)
        for fault in faults:
            self._schedule(fault)

    def _schedule(self, fault: Fault) -> None:
        world = self._world
        match fault:
            case Skew():
                clock = self._mesh[fault.host].clock
                clock.offset_ns += fault.offset_ms * NS_PER_MS
                clock.skew_ppb += fault.skew_ppb
            case Twins():
                viewers = [self._mesh[place] for place in fault.viewers]
                self.hosts.append(add_twin(world, self._mesh[fault.host], viewers))
            case Restore():
                self._restores[fault.host] = fault
            case _:
                world.at(fault.at_ms, self._begin, fault)

    def _begin(
        self,
        fault: Crash | Pause | Cut | SlowLink | SlowHost | Hide | Jump | Drop | Byzantine,
    ) -> None:
        world, mesh = self._world, self._mesh
        match fault:
            case Crash():
                self._crash(fault)
            case Pause():
                mesh[fault.host].pause()
                self._later(fault.for_ms, mesh[fault.host].resume)
            case Cut():
                groups = ([self._mesh[place] for place in side] for side in _sides(fault))
                cuts = world.cut_one_way(*groups, both_ways=fault.both_ways)
                self._later(fault.for_ms, world.heal, cuts)
            case SlowLink():
                until_ns = world.kernel.now_ns + fault.for_ms * NS_PER_MS
                world.network.clog(fault.source, fault.target, until_ns)
            case SlowHost():
                mesh[fault.host].slowness = fault.factor
                self._later(fault.for_ms, setattr, mesh[fault.host], "slowness", 1)
            case Hide():
                world.network.hide(fault.host)
                self._later(fault.for_ms, world.network.show, fault.host)
            case Jump():
                mesh[fault.host].clock.jump(fault.by_ms * NS_PER_MS)
            case Drop():
                world.links.hang_up(mesh[fault.one], mesh[fault.other].name, "connection reset")
            case Byzantine():
                stream = world.streams.get(f"fault {fault.number}")
                mutator = make_mutator(fault.behaviour, fault.percent, stream)
                mesh[fault.host].mutator = mutator
                self._later(fault.for_ms, self._stop_lying, mesh[fault.host], mutator)
            case _:
                assert_never(fault)

    def _later(self, delay_ms: int, action: object, *arguments: object) -> None:
        assert callable(action)
        self._world.kernel.after(delay_ms * NS_PER_MS, action, *arguments)

    def _stop_lying(self, host: Host, mutator: object) -> None:
        if host.mutator is mutator:
            host.mutator = None

    # --- crashes --------------------------------------------------------------------------------

    def _crash(self, fault: Crash) -> None:
        host = self._mesh[fault.host]
        if not host.is_up:
            return
        if fault.moment == "sync":
            self._armed[host.index] = fault
        elif fault.moment == "effects":
            host.crash_after = fault.effects
            self._later(fault.down_ms, self._restart, host)
        else:
            host.crash()
            self._later(fault.down_ms, self._restart, host)

    def on_effects(self, host: Host, effects: Sequence[Effect]) -> None:
        """A host is about to write: tear the transaction if that was planned."""
        fault = self._armed.get(host.index)
        if fault is None or not any(isinstance(effect, Persist) for effect in effects):
            return
        del self._armed[host.index]
        delay_ns = host.costs.sync_ns * host.slowness // 2
        self._world.kernel.after(delay_ns, self._tear, host, host.life, fault.down_ms)

    def _tear(self, host: Host, life: int, down_ms: int) -> None:
        if host.life == life and not self._is_over:
            host.crash()
            self._later(down_ms, self._restart, host)

    def _restart(self, host: Host) -> None:
        if not host.is_up:
            host.start()

    # --- the end --------------------------------------------------------------------------------

    def heal(self) -> None:
        """End everything that is wrong: from now on progress is owed."""
        self._is_over = True
        self._armed.clear()
        self._world.heal()
        self._world.network.unclog()
        for host in self.hosts:
            self._world.network.show(host.index)
            host.mutator = None
            host.slowness = 1
            host.crash_after = None
            host.resume()
            self._restart(host)

    def find_restored(self, honest: Sequence[Host]) -> tuple[Host, ...]:
        """The honest hosts that are to come back from old copies."""
        return tuple(host for host in honest if host.index in self._restores)

    def restore(self, host: Host, honest: Sequence[Host]) -> None:
        """Bring up a host's old copy.

        It believes whom it asks first, so only honest hosts are to be had until the next `heal`.
        """
        liars = [other for other in self.hosts if other not in honest]
        host.crash()
        host.disk.take_back(self._restores[host.index].percent)
        if liars:
            self._world.cut([host], liars)
        host.start()


def _sides(fault: Cut) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return fault.sources, fault.targets
