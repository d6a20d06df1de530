"""A mesh that outgrows the full mesh and shrinks again, under load, loses nothing."""

from __future__ import annotations

import pytest

from meshnode.core.settings import Limits
from tests.support.changing_mesh import ChangingMesh

pytestmark = pytest.mark.slow

FULL_MESH_MAX = 6
LARGEST = 14
SMALLEST = 4
CHANGE_MS = 1_500
SHRUNK_MS = 1_800_000
"""Who is gone counts as gone after eight dials in a row, and dials become rare."""


def count_large(scene: ChangingMesh) -> int:
    return sum(host.core._overlay.is_on for host in scene.mesh.up)


def count_links(scene: ChangingMesh) -> int:
    return sum(len(host.core.get_ready_peers()) for host in scene.mesh.up)


def agree(scene: ChangingMesh) -> None:
    scene.world.run_until(lambda: scene.mesh.converged and not scene.lost, 60_000)


def test_mesh_crosses_its_border_both_ways_under_load_and_loses_nothing():
    limits = Limits(full_mesh_max=FULL_MESH_MAX, outbound_min=2, inbound_max=3)
    scene = ChangingMesh(founders=SMALLEST, members=LARGEST, limits=limits)
    scene.begin()
    assert count_large(scene) == 0
    scene.publish_every(200, until_ms=60_000)
    while len(scene.mesh.up) < LARGEST:
        scene.join()
        scene.world.run_for(CHANGE_MS)
    scene.world.run_until(lambda: count_large(scene) == LARGEST, 10_000)
    scene.world.run_until(lambda: count_links(scene) < LARGEST * (LARGEST - 1) // 2, 30_000)
    grown = len(scene.published)
    for number, host in enumerate(scene.mesh.up[SMALLEST:]):
        (scene.leave if number % 2 else scene.crash)(host)
        scene.world.run_for(CHANGE_MS)
    scene.publish_every(2_000, until_ms=SHRUNK_MS)
    scene.world.run_until(lambda: count_large(scene) == 0, SHRUNK_MS)
    scene.world.run_until(lambda: scene.mesh.meshed, 60_000)
    agree(scene)
    assert len(scene.mesh.up) == SMALLEST
    assert 50 < grown < len(scene.published) - 10
    assert scene.lost == []


def test_mesh_that_sways_around_its_border_loses_nothing():
    limits = Limits(full_mesh_max=FULL_MESH_MAX, outbound_min=2, inbound_max=3)
    scene = ChangingMesh(founders=FULL_MESH_MAX, members=FULL_MESH_MAX + 2, seed=3, limits=limits)
    scene.begin()
    scene.publish_every(200, until_ms=60_000)
    for _ in range(4):
        guest = scene.join()
        scene.world.run_for(3_000)
        assert count_large(scene) == len(scene.mesh.up)
        scene.crash(guest)
        scene.world.run_for(3_000)
    agree(scene)
    assert scene.lost == []
