"""The order under delays, isolation, partitions and liars: progress where a quorum can talk."""

from __future__ import annotations

import pytest

from tests.support.lattice import make_committee
from tests.support.lattice_mesh import LatticeMesh

HEAL_TICK = 200


def split(size: int, until: int = HEAL_TICK):
    """The first `size` cannot talk with the rest until the split heals."""
    return lambda tick, source, target: tick >= until or (source < size) == (target < size)


@pytest.mark.parametrize(
    ("members", "profile"), [(1, "bft3"), (4, "bft3"), (10, "bft3"), (6, "bft5"), (3, "cft")]
)
def test_all_decide_the_same_on_a_healthy_network(members, profile):
    mesh = LatticeMesh(make_committee(members, profile), seed=members)
    mesh.run(300)
    mesh.check()
    assert min(mesh.lengths()) >= 25


def test_isolated_validator_is_skipped_and_catches_up():
    mesh = LatticeMesh(make_committee(10), seed=1, can_reach=split(1))
    mesh.run(HEAL_TICK)
    mesh.check()
    assert mesh.lengths()[0] == 0
    before = min(mesh.lengths()[1:])
    assert before >= 5
    mesh.run(200)
    mesh.check()
    assert min(mesh.lengths()) > before


def test_minority_halts_and_merges_after_healing():
    mesh = LatticeMesh(make_committee(10), seed=2, can_reach=split(2))
    mesh.run(HEAL_TICK)
    mesh.check()
    assert mesh.lengths()[:2] == [0, 0]
    assert min(mesh.lengths()[2:]) >= 3
    mesh.run(200)
    mesh.check()
    assert min(mesh.lengths()) >= 10


@pytest.mark.parametrize("members", [4, 20])
def test_halves_commit_nothing_and_go_on_after_healing(members):
    mesh = LatticeMesh(make_committee(members), seed=3, can_reach=split(members // 2))
    mesh.run(HEAL_TICK)
    assert mesh.lengths() == [0] * members
    mesh.run(200)
    mesh.check()
    assert min(mesh.lengths()) >= 8


def test_star_goes_on_while_its_centre_lives():
    """Peers hear of each other through the centre's blocks only, so each round is one hop more."""
    mesh = LatticeMesh(
        make_committee(4), seed=4, can_reach=lambda _, source, target: 0 in {source, target}
    )
    mesh.run(300)
    mesh.check()
    assert min(mesh.lengths()) >= 5


@pytest.mark.parametrize("members", [4, 7, 20])
def test_leader_with_two_faces_splits_nobody(members):
    mesh = LatticeMesh(make_committee(members), seed=5, liars=(1,))
    mesh.run(250)
    mesh.check()
    assert min(mesh.lengths()) >= 8
    for validator in mesh.validators:
        assert len(validator.ordering.store.get_slot(1, 1)) == 2
