"""Small meshes above the full mesh's size: everything arrives, in few copies, whoever is silent."""

from __future__ import annotations

from typing import Any

import pytest

from meshnode.core.settings import Limits
from tests.support.spread import Spread

pytestmark = pytest.mark.slow

NODES = 40


def run(spread: Spread, *, per_second: float, warm_s: float = 8.0, seconds: float = 5.0) -> Spread:
    spread.form()
    spread.load(per_second, warm_s, measured=False)
    spread.load(per_second, seconds)
    spread.settle()
    return spread


def test_mesh_above_the_full_mesh_size_is_connected_by_few_links():
    spread = run(Spread(NODES), per_second=2, warm_s=15)
    report = spread.report()
    assert spread.is_connected
    links = [len(host.core.get_ready_peers()) for host in spread.mesh]
    assert max(links) <= 12
    assert 6 <= sum(links) / NODES <= 10
    assert report.coverage == 1.0
    assert report.copies <= 1.2


def test_much_is_spread_fast_and_in_few_copies():
    report = run(Spread(NODES), per_second=20).report()
    assert report.coverage == 1.0
    assert report.copies <= 1.75
    assert report.p99_ms <= 450


def test_silent_and_lying_members_keep_nothing_from_anybody():
    shares: list[dict[str, Any]] = [{"silent": 0.2}, {"lying": 0.2}]
    for share in shares:
        report = run(Spread(NODES, **share), per_second=10, warm_s=12).report()
        assert report.coverage == 1.0
        assert report.p99_ms <= 600


def test_half_the_members_silent_keep_nothing_from_anybody_for_long():
    spread = run(Spread(NODES, silent=0.5), per_second=10)
    assert spread.report().coverage == 1.0


def test_no_honest_member_is_blamed():
    spread = run(Spread(NODES), per_second=20, warm_s=2)
    assert not any(host.penalties for host in spread.mesh)


def test_mesh_comes_up_where_each_knows_few_founders():
    spread = Spread(24, limits=Limits(full_mesh_max=6))
    assert spread.form() < 5_000
    assert len(spread.mesh) == 24
