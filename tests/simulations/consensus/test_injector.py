"""Faults that strike, faults that strike nobody, and those that are added until enough strike."""

from __future__ import annotations

import pytest

from simulations.consensus.injector import Injector
from simulations.consensus.mesh import ValidatorMesh
from simulations.consensus.spec import KINDS_MIN, Fault
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.world import World

CALM = NetworkSettings(latency=Constant(5))


def make_injector(members: int, *faults: Fault) -> tuple[Injector, ValidatorMesh]:
    mesh = ValidatorMesh(World(1, network=CALM), members)
    injector = Injector(mesh, faults, CALM)
    injector.schedule(1_000)
    for at_ms in range(1, 900, 40):
        mesh.world.at(at_ms, mesh.submit, 0)
    return injector, mesh


@pytest.mark.parametrize(
    ("kind", "node", "amount", "happened"),
    [
        ("crash", 1, 0, ("crash",)),
        ("crash", 1, 1, ("crash",)),
        ("crash", 1, 2, ("crash",)),
        ("cut", 1, 0, ("cut",)),
        ("cut", 0, 0, ()),
        ("clog", 2, 0, ("clog",)),
        ("clock", 2, -3_000, ("clock",)),
        ("disk", 2, 100, ("disk",)),
        ("loss", 0, 50, ("loss", "reorder")),
        ("double", 0, 50, ("double", "reorder")),
    ],
)
def test_fault_that_strikes_is_counted_and_heals(kind, node, amount, happened):
    injector, mesh = make_injector(4, Fault(kind, 100, 400, node, amount))
    mesh.world.run_for(1_000)
    assert injector.happened == happened
    injector.heal()
    assert all(one.context.is_up and not one.clock_offset_ms for one in mesh.validators)
    assert not mesh.world.network.cuts
    assert mesh.world.network.settings == CALM


@pytest.mark.parametrize("members", [1, 2, 5])
def test_kinds_are_added_until_there_are_enough(members):
    injector, mesh = make_injector(members)
    mesh.world.run_for(300)
    injector.insist(lambda: mesh.submit(0))
    assert len(injector.happened) == KINDS_MIN
    mesh.world.run_for(1_000)
    assert all(one.context.is_up for one in mesh.validators)


def test_nothing_is_added_where_enough_has_happened():
    injector, mesh = make_injector(4)
    for kind in ("silent", "crash", "clock"):
        mesh.note(kind)
    injector.insist(lambda: mesh.submit(0))
    assert mesh.world.now_ms == 0


def test_clock_of_who_is_down_is_read_at_its_start():
    injector, mesh = make_injector(4, Fault("crash", 100, 400, 1), Fault("clock", 200, 500, 1, 9))
    mesh.world.run_for(600)
    assert mesh.validators[1].now_ms == mesh.validators[0].now_ms + 9
    mesh.world.run_for(400)
    assert mesh.validators[1].now_ms == mesh.validators[0].now_ms
    assert injector.happened == ("crash",)
