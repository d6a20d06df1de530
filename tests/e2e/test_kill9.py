"""Nodes that are killed under load lose and forge nothing: the short form of `make kill9`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_killed_nodes_come_back_with_all_they_promised():
    # The machine may run other tests: seconds are for the campaign, here they only end a hang.
    shown = run_campaign("kill9", "--kills", "5", "--heads-within", "60", timeout_s=480)
    assert shown.endswith("ok\n")
