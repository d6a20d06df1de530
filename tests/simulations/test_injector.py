"""Every kind of fault happens when the plan says so, and is over when all heals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulations import World
from simulations.faults import (
    BEHAVIOURS,
    Behaviour,
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
from simulations.injector import Injector
from simulations.mesh import Mesh

NODES = 4
AT: dict[str, Any] = {"number": 1, "at_ms": 1_000}


def make(*faults: Fault) -> tuple[World, Mesh, Injector]:
    world = World(5)
    mesh = world.add_mesh(NODES, start=False)
    injector = Injector(world, mesh, faults)
    for host in injector.hosts:
        host.start()
    world.run_for(999)
    return world, mesh, injector


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (Pause(**AT, host=1, for_ms=500), lambda world, mesh: mesh[1].is_paused),
        (
            Cut(**AT, for_ms=500, sources=(0,), targets=(1, 2)),
            lambda world, mesh: world.network.is_cut(2, 0),
        ),
        (
            Cut(**AT, for_ms=500, sources=(0,), targets=(1,), both_ways=False),
            lambda world, mesh: world.network.is_cut(0, 1) and not world.network.is_cut(1, 0),
        ),
        (SlowHost(**AT, host=2, for_ms=500, factor=5), lambda world, mesh: mesh[2].slowness == 5),
        (Hide(**AT, host=2, for_ms=500), lambda world, mesh: not world.network.is_dialable(0, 2)),
        (Crash(**AT, host=3, down_ms=500), lambda world, mesh: not mesh[3].is_up),
        (
            Byzantine(**AT, host=3, for_ms=500, behaviour="mute", percent=100),
            lambda world, mesh: mesh[3].mutator is not None,
        ),
    ],
)
@pytest.mark.parametrize("healed", [False, True])
def test_fault_begins_and_ends(fault: Fault, holds: Callable[[World, Mesh], bool], healed: bool):
    world, mesh, injector = make(fault)
    assert not holds(world, mesh)
    world.run_for(100)
    assert holds(world, mesh)
    if healed:
        injector.heal()
    else:
        world.run_for(500)
    assert not holds(world, mesh)


def test_crash_in_the_middle_of_effects_comes_back():
    world, mesh, _ = make(Crash(**AT, host=3, down_ms=5_000, moment="effects", effects=3))
    for _ in range(5):
        mesh[3].publish(b"x")
    world.run_for(1_000)
    assert not mesh[3].is_up
    world.run_for(5_000)
    assert mesh[3].is_up


def test_crash_while_a_transaction_is_written_loses_or_tears_it():
    world, mesh, injector = make(Crash(**AT, host=3, down_ms=400, moment="sync"))
    world.run_for(10)
    syncs = mesh[3].disk.syncs
    mesh[3].publish(b"x")
    world.run_for(10)
    assert not mesh[3].is_up
    assert mesh[3].disk.syncs == syncs
    injector.heal()
    assert mesh[3].is_up
    world.run_for(500)
    assert mesh[3].life == 3


def test_a_write_after_the_end_is_not_torn():
    world, mesh, injector = make(Crash(**AT, host=3, down_ms=400, moment="sync"))
    world.run_for(10)
    injector.heal()
    mesh[3].publish(b"x")
    world.run_for(10)
    assert mesh[3].is_up


def test_crash_of_a_host_that_is_down_changes_nothing():
    world, mesh, _ = make(
        Crash(**AT, host=3, down_ms=400), Crash(number=2, at_ms=1_100, host=3, down_ms=9_000)
    )
    world.run_for(600)
    assert mesh[3].is_up


def test_slow_link_holds_up_what_is_sent():
    world, _, _ = make(SlowLink(**AT, source=0, target=1, for_ms=500))
    world.run_for(1)
    assert world.network.travel_ns(0, 1) > 400_000_000 > world.network.travel_ns(1, 0)


def test_dropped_connection_is_made_again():
    world, mesh, _ = make(Drop(**AT, one=0, other=1))
    before = mesh[0].links[mesh[1].name]
    world.run_for(30_000)
    assert mesh[0].links[mesh[1].name] is not before
    assert mesh.meshed


def test_clocks_are_off_and_jump():
    world, mesh, _ = make(
        Skew(number=1, host=0, offset_ms=5_000, skew_ppb=50_000), Jump(**AT, host=1, by_ms=700)
    )
    world.run_for(101)
    assert mesh[0].read_clock_ms() - mesh[2].read_clock_ms() == 5_000
    assert mesh[1].read_clock_ms() - mesh[2].read_clock_ms() == 700


def test_twins_speak_for_one_author_until_they_are_found_out():
    world, mesh, injector = make(Twins(number=1, host=0, viewers=(1,)))
    twin = injector.hosts[-1]
    assert twin.identity is mesh[0].identity
    mesh[0].publish(b"one")
    twin.publish(b"other")
    world.run_for(15_000)
    assert [fork.author for fork in mesh[2].view().forks] == [twin.identity.author]
    assert [fork.author for fork in mesh[1].view().forks] == [twin.identity.author]


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_liars_leave_the_others_in_agreement(behaviour: Behaviour):
    fault = Byzantine(number=1, at_ms=0, host=0, for_ms=2_500, behaviour=behaviour, percent=40)
    world, mesh, injector = make(fault)
    for number in range(12):
        world.at(1_000 + 150 * number, mesh[number % NODES].publish, bytes([number]))
    world.run_for(2_500)
    injector.heal()
    honest = mesh[1:]

    def agree() -> bool:
        return len({host.view().heads_digest for host in honest}) == 1

    world.run_for(2_000)
    world.run_until(agree, 60_000)
    assert all(len(host.view().peers) >= 2 for host in honest)
    assert all(host.view().vertices >= 3 + 9 for host in honest)


def test_old_copy_learns_what_it_has_forgotten_before_it_speaks():
    plan = (Restore(number=1, host=2, percent=70), Twins(number=2, host=0, viewers=(1,)))
    world, mesh, injector = make(*plan)
    for number in range(10):
        mesh[2].publish(bytes([number]))
        world.run_for(200)
    held = mesh[2].view().vertices
    injector.heal()
    honest = mesh[1:]
    assert injector.find_restored(honest) == (mesh[2],)
    injector.restore(mesh[2], honest)
    assert 0 < mesh[2].view().vertices < held
    assert world.network.is_cut(2, 0)
    mesh[2].publish(b"again")
    world.run_until(lambda: mesh[1].view().vertices == held + 1, 30_000)
    assert not mesh[1].view().forks
    assert injector.find_restored([mesh[1]]) == ()
