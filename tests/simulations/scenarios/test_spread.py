"""How vertices spread is followed from the asking to the last host."""

from __future__ import annotations

import pytest

from simulations import Unreached, World
from simulations.scenarios import spread as module
from simulations.scenarios.networks import CoreParameters
from simulations.scenarios.spread import (
    MeshParameters,
    Spread,
    count_pairs,
    found_mesh,
    name_crypto,
    schedule_publications,
)

PARAMETERS = MeshParameters(nodes=4, interval_ms=50, body_bytes=40)
ALL = range(4)


def publish_some(count: int) -> tuple[World, Spread]:
    world, mesh = found_mesh(PARAMETERS, 1)
    spread = Spread(world)
    last_ms = schedule_publications(PARAMETERS, spread, world, list(mesh), count)
    assert last_ms == world.now_ms + 50 * count
    world.run_for(50 * count + 2_000)
    return world, spread


def test_every_delivery_is_timed():
    _, spread = publish_some(6)
    assert spread.asked == len(spread.stories) == 6
    delays_ns = spread.find_delays_ns(spread.stories, ALL)
    assert len(delays_ns) == count_pairs(spread.stories, ALL) == 6 * 3
    assert min(delays_ns) >= 20_000_000  # the latency of the ideal network
    assert len({story.id for story in spread.stories}) == 6


def test_every_copy_is_counted():
    _, spread = publish_some(6)
    assert spread.count_copies(spread.stories) >= 6 * 3
    one = spread.stories[:1]
    assert 3 <= spread.count_copies(one) < spread.count_copies(spread.stories)
    assert count_pairs(one, [one[0].author]) == 0


def test_mesh_is_founded_when_all_hold_all_profiles():
    world, mesh = found_mesh(PARAMETERS, 3)
    assert all(host.view().vertices == 4 for host in mesh)
    assert 0 < world.now_ms < 5_000


def test_mesh_that_never_meets_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "FOUND_MS", 10)
    with pytest.raises(Unreached):
        found_mesh(PARAMETERS, 1)


def test_who_is_down_does_not_publish():
    world, mesh = found_mesh(PARAMETERS, 1)
    spread = Spread(world)
    mesh[1].crash()
    spread.publish(mesh[1], b"x")
    assert spread.asked == 0


def test_what_others_publish_is_not_followed():
    world, mesh = found_mesh(PARAMETERS, 1)
    spread = Spread(world)
    mesh[2].publish(b"not through it")
    world.run_for(1_000)
    assert spread.stories == []


@pytest.mark.parametrize(
    ("fidelity", "crypto"), [("bytes", "real"), ("cached", "cached"), ("objects", "cached")]
)
def test_fidelity_says_what_of_the_cryptography_is_done(fidelity, crypto: str):
    assert name_crypto(CoreParameters(fidelity=fidelity)) == crypto
