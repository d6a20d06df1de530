"""A live node under attack: the short form of `make hostile`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_node_stands_and_counts_every_attack_while_honest_peers_go_on():
    shown = run_campaign("hostile", "--frames", "3000", "--seed", "1", timeout_s=480)
    assert shown.endswith("ok\n")
