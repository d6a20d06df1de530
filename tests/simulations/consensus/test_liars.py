"""What liars say, and that none of it is taken for a block."""

from __future__ import annotations

import pytest

from simulations.consensus.liars import FLOOD_BLOCKS, LIARS, Flooder, Forger
from simulations.consensus.mesh import ValidatorMesh
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.world import World

FORGERIES = 4
"""Beside each block of a forger."""


def run(kind: str, members: int = 4) -> ValidatorMesh:
    world = World(1, network=NetworkSettings(latency=Constant(5), loss=0.1))
    mesh = ValidatorMesh(world, members, make={members - 1: LIARS[kind]})
    if members > 1:
        world.at(200, mesh.crash, mesh.validators[0])
        world.at(500, mesh.restart, mesh.validators[0])
    for at_ms in range(1, 1_400, 40):
        world.at(at_ms, mesh.submit, 0)
    world.run_for(2_000)
    return mesh


@pytest.mark.parametrize("kind", LIARS)
def test_liar_lies_and_the_others_go_on(kind: str):
    mesh = run(kind)
    assert mesh.happened[kind] > 0
    assert len(mesh.ledger.commits) > 4
    assert not mesh.ledger.twinned


def test_every_forged_block_breaks_a_rule():
    mesh = run("forge")
    liar, honest = mesh.validators[3], mesh.validators[1]
    assert isinstance(liar, Forger)
    store = honest.ordering.store
    odd = [signed for key, signed in honest.signed.items() if store.get(key) is None]
    assert len(odd) > 3 * FORGERIES
    assert all(store.is_inert(signed.id) for signed in odd)
    assert {signed.vertex.author for signed in odd} == {mesh.committee.validators[3].author}


def test_flood_waits_within_the_share_of_its_author():
    mesh = run("flood")
    liar, honest = mesh.validators[3], mesh.validators[0]
    assert isinstance(liar, Flooder)
    assert 5 * FLOOD_BLOCKS < len(honest.inbox) <= 750


@pytest.mark.parametrize("kind", ["forge", "flood"])
def test_lone_liar_has_nobody_to_lie_to(kind: str):
    assert kind not in run(kind, members=1).happened
