"""Validators on both sides of a cut: the short form of `make ordercut`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign
from tests.support.netns import find_obstacle


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_no_side_of_a_cut_forks_and_both_go_on_together_after_it():
    if (obstacle := find_obstacle()) is not None:
        pytest.skip(f"no network namespaces on this machine: {obstacle}")
    shown = run_campaign("consensus_cut", "--seconds", "3", timeout_s=480)
    assert shown.endswith("ok\n")
