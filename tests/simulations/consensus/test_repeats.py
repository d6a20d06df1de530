"""The same blocks again, as they came and shuffled, and readers that read something else."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from simulations.consensus import repeats
from simulations.consensus.mesh import ValidatorMesh
from simulations.consensus.repeats import (
    check_repeats,
    check_replay,
    check_shuffled,
    check_thawed,
    shuffle,
)
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


def test_state_after_any_commit_leads_to_those_behind_it(mesh):
    one = mesh.validators[0]
    height = mesh.ledger.get_height(one)
    for index in range(height + 1):
        state, _ = check_replay(mesh, one.log.entries, height, index)
        check_thawed(mesh, one.log.entries, state, index, height)
    check_repeats(mesh, one.log.entries, Random(2), height)
    check_repeats(mesh, (), Random(2), 0)


def test_state_that_leads_elsewhere_is_found(mesh, monkeypatch):
    one = mesh.validators[0]
    height = mesh.ledger.get_height(one)
    state, _ = check_replay(mesh, one.log.entries, height, height - 5)
    with pytest.raises(CheckFailed, match="I5 thawed: 5 of 6 commits follow"):
        check_thawed(mesh, one.log.entries, state, height - 5, height + 1)
    monkeypatch.setattr(repeats, "check_shuffled", lambda *_arguments: b"another state")
    with pytest.raises(CheckFailed, match="leave another state"):
        check_repeats(mesh, one.log.entries, Random(2), height)


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
