"""The same blocks again, as they came and shuffled, and readers that read something else."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from simulations.consensus.mesh import ValidatorMesh
from simulations.consensus.repeats import check_replay, check_shuffled, shuffle
from simulations.errors import CheckFailed
from simulations.latency import Constant
from simulations.network import NetworkSettings
from simulations.world import World


@pytest.fixture(scope="module")
def mesh():
    world = World(1, network=NetworkSettings(latency=Constant(20)))
    mesh = ValidatorMesh(world, 4)
    for at_ms in range(1, 400, 40):
        world.at(at_ms, mesh.submit, 0)
    world.run_for(600)
    return mesh


def test_shuffled_blocks_come_after_their_parents_and_all_come(mesh):
    entries = mesh.validators[0].log.entries
    shuffled = shuffle(entries, Random(3))
    assert sorted(entry.id for entry in shuffled) == sorted(entry.id for entry in entries)
    assert shuffled != entries
    seen = dict.fromkeys(mesh.batches)
    for entry in shuffled:
        assert all(ref.id in seen for ref in entry.vertex.parents)
        seen[entry.id] = None


def test_log_and_any_other_order_of_it_give_what_was_told(mesh):
    one = mesh.validators[0]
    height = mesh.ledger.get_height(one)
    check_replay(mesh, one.log.entries, height)
    for seed in range(5):
        check_shuffled(mesh, one.log.entries, Random(seed), height)


def test_log_that_lacks_a_block_is_found(mesh):
    one = mesh.validators[0]
    height = mesh.ledger.get_height(one)
    with pytest.raises(CheckFailed, match="I15 replay: the log gives"):
        check_replay(mesh, one.log.entries[:20], height)
    with pytest.raises(CheckFailed, match="I5 arrival"):
        check_shuffled(mesh, one.log.entries[:20], Random(1), height)


def test_commit_that_was_told_otherwise_is_found(mesh, monkeypatch):
    one = mesh.validators[0]
    first, *rest = mesh.ledger.commits
    told = [msgspec.structs.replace(first, time_ms=1), *rest]
    monkeypatch.setattr(mesh.ledger, "commits", told)
    with pytest.raises(CheckFailed, match="I15 replay: commit 1 is another"):
        check_replay(mesh, one.log.entries, mesh.ledger.get_height(one))
