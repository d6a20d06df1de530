"""Discovery and connection on loopback: the short form of `make connect`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_newcomer_is_connected_with_everybody():
    # How long it takes is the campaign's to measure: this machine may run other tests.
    shown = run_campaign("connect", "--runs", "3", timeout_s=380)
    assert "joining" in shown
    assert "3 runs, 3 peers each" in shown
