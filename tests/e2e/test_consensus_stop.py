"""One validator of four may stop, two may not: the short form of `make orderstop`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(700)
def test_the_order_goes_on_without_one_validator_and_waits_for_the_second():
    shown = run_campaign("consensus_stop", "--seconds", "2", timeout_s=680)
    assert shown.endswith("ok\n")
