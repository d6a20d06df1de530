"""Those who look on: what hooks are told, and what a failed check leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.core.events import Published
from meshnode.core.inputs import Input
from meshnode.core.messages import Message
from simulations import CheckFailed, Observer, SimulationFailed, Unreached, World
from simulations.host import Host
from simulations.observers import invite


class Counter(Observer):
    """Counts what every hook is told."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def on_added(self, world: World) -> None:
        self._count("added")

    def on_event(self, target: int, kind: int, payload: Any) -> None:
        self._count("event")

    def on_launched(self, *arguments: Any) -> None:
        self._count("launched")

    def on_input(self, host: Host, entry: Input) -> None:
        self._count("input")

    def on_effects(self, host: Host, effects: Any) -> None:
        self._count("effects")

    def on_fact(self, host: Host, event: Any) -> None:
        self._count("fact")

    def on_sent(self, host: Host, target: int, message: Message, size_bytes: int) -> None:
        self._count("sent")

    def on_delivered(self, host: Host, source: int, frame: bytes) -> None:
        self._count("delivered")

    def on_started(self, host: Host) -> None:
        self._count("started")

    def on_crashed(self, host: Host) -> None:
        self._count("crashed")

    def on_end(self, world: World) -> None:
        self._count("end")


def test_observers_see_everything_and_change_nothing():
    counter = Counter()
    world, plain = World(5), World(5)
    world.add_observer(counter)
    for one in (world, plain):
        mesh = one.add_mesh(3)
        one.run_for(2_000)
        mesh[0].crash()
        one.run_for(10)
    assert world.digest == plain.digest
    assert counter.counts["event"] == world.kernel.events
    assert counter.counts["sent"] == world.network.counters.sent
    assert counter.counts["launched"] == world.network.counters.sent
    assert counter.counts["delivered"] == world.network.counters.delivered
    assert counter.counts["input"] + counter.counts["started"] == counter.counts["effects"]
    assert (counter.counts["started"], counter.counts["crashed"]) == (3, 1)
    assert (counter.counts["added"], counter.counts["end"]) == (1, 2)


class Strict(Observer):
    def on_fact(self, host: Host, event: Any) -> None:
        if isinstance(event, Published):
            raise CheckFailed("no-publishing", f"host {host.index} published")


def test_a_failed_check_says_how_to_see_it_again():
    mesh = World(9).add_mesh(2)
    mesh.world.run_for(2_000)
    mesh.world.add_observer(Strict())
    mesh[1].publish(b"note")
    with pytest.raises(SimulationFailed, match="no-publishing: host 1 published") as raised:
        mesh.world.run_for(1_000)
    failure = raised.value
    assert failure.seed == 9
    assert failure.events == mesh.world.kernel.events
    assert failure.recent[-1][0] == failure.now_ns == mesh.world.kernel.now_ns
    assert isinstance(failure.__cause__, CheckFailed)


def test_whatever_is_raised_in_a_world_is_a_finding():
    world = World(1)
    world.at(5, lambda: 1 / 0)
    with pytest.raises(SimulationFailed, match="ZeroDivisionError"):
        world.run_for(10)


def test_run_until_gives_up_at_its_limit():
    world = World(1)
    with pytest.raises(Unreached, match="within 30 ms"):
        world.run_until(lambda: False, limit_ms=30)
    assert world.now_ms == 30


def test_a_world_can_be_stepped():
    mesh = World(1).add_mesh(2)
    assert mesh.world.step()
    assert mesh.world.kernel.events == 1
    assert not World(1).step()
    assert mesh.world.hosts == list(mesh) == mesh[:]


def test_guests_look_at_the_first_world_made_meanwhile():
    before, counter = World(1), Counter()
    with invite(counter):
        first, second = World(1), World(2)
    after = World(3)
    for world in (before, first, second, after):
        world.run_for(1)
    assert counter.counts == {"added": 1, "end": 1}
    assert first.observers.on_end
