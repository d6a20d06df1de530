"""What is demanded after the faults, and what it finds where it is not met."""

from __future__ import annotations

import pytest

from consensus.decision import Slot, Status
from simulations.consensus.demands import Demands
from simulations.consensus.mesh import ValidatorMesh
from simulations.consensus.spec import ROUNDS_MIN, Spec
from simulations.errors import CheckFailed, SimulationFailed
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.world import World


def make_demands(**options) -> tuple[Demands, ValidatorMesh]:
    spec = Spec(seed=1, stakes=(1,) * 4, **options)
    mesh = ValidatorMesh(World(1, network=NetworkSettings(latency=Constant(5))), 4)
    mesh.world.run_for(10)
    return Demands(mesh, spec, lambda: mesh.submit(0)), mesh


def test_healthy_validators_meet_every_demand():
    demands, mesh = make_demands()
    assert demands.demand_progress() > 0
    assert min(demands.count_rounds()) >= ROUNDS_MIN
    demands.demand_pace()
    demands.demand_quiet()
    demands.demand_all_put_out()
    assert mesh.ledger.commits


def test_no_pace_is_demanded_where_writing_takes_the_time():
    demands, mesh = make_demands(write_ms=60)
    demands.demand_pace()
    assert mesh.world.now_ms == 10


def test_validator_that_stays_behind_is_found():
    demands, mesh = make_demands()
    mesh.world.run_for(100)
    mesh.world.at(500, setattr, mesh.validators[2], "_drive", lambda: None)
    with pytest.raises(SimulationFailed, match="author 2 is in round"):
        demands.demand_pace()


def test_order_that_stops_is_found():
    demands, mesh = make_demands()
    for author in (2, 3):
        mesh.world.at(1_070, mesh.crash, mesh.validators[author])
    with pytest.raises(CheckFailed, match="I12 in-time"):
        demands.demand_pace()


def test_skipped_leader_is_found():
    demands, mesh = make_demands()
    demands.demand_progress()
    mesh.ledger.decided[Slot(5, 0)] = (Status.SKIP, b"")
    with pytest.raises(CheckFailed, match="I11 leaders"):
        demands._demand_leaders(3, 9)
    demands._demand_leaders(6, 9)


def test_blocks_for_nothing_are_found():
    demands, mesh = make_demands()
    for at_ms in range(100, 5_000, 40):
        mesh.world.at(at_ms, mesh.submit, 0)
    with pytest.raises(CheckFailed, match="blocks are made though nobody says anything"):
        demands.demand_quiet()


def test_heights_that_differ_are_found():
    demands, mesh = make_demands()
    demands.demand_progress()
    mesh.ledger._heights[0, 0] += 1
    with pytest.raises(CheckFailed, match="agreement"):
        demands.demand_quiet()


def test_block_that_is_never_put_out_is_found():
    demands, mesh = make_demands()
    mesh.ledger.made[0, 1_000_000] = bytes(32)
    with pytest.raises(CheckFailed, match="I9 output"):
        demands.demand_all_put_out()
