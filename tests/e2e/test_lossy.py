"""Links that lose packets lose no vertex: the short form of `make lossy`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign
from tests.support.netns import find_loss_obstacle, find_obstacle


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_links_that_lose_packets_lose_no_vertex():
    if (obstacle := find_obstacle() or find_loss_obstacle()) is not None:
        pytest.skip(f"no hosts with lossy links on this machine: {obstacle}")
    shown = run_campaign(
        "lossy", "--nodes", "3", "--loss", "0.1", "--seconds", "3", "--plugged", timeout_s=480
    )
    assert shown.endswith("ok\n")
