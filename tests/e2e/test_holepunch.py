"""Members behind routers get past their relay: the short form of `make holepunch`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign
from tests.support.nat_net import find_nat_obstacle
from tests.support.netns import find_obstacle


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_members_behind_routers_that_keep_and_move_ports_become_neighbours():
    if (obstacle := find_obstacle() or find_nat_obstacle()) is not None:
        pytest.skip(f"no routers on this machine: {obstacle}")
    assert run_campaign("holepunch", "--pairs", "2", timeout_s=480).endswith("ok\n")
