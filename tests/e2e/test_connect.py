"""Discovery and connection on loopback: the short form of `make connect`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_newcomer_is_connected_with_everybody_before_long():
    shown = run_campaign("connect", "--runs", "3", "--within", "10", timeout_s=180)
    assert "joining" in shown
    assert "3 runs, 3 peers each" in shown
