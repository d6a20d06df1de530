"""Validators that are killed under load keep one order: the short form of `make orderkill`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_killed_validators_come_back_into_the_one_order():
    # The machine may run other tests: seconds are for the campaign, here they only end a hang.
    shown = run_campaign("consensus_kill", "--kills", "4", "--back-within", "80", timeout_s=480)
    assert shown.endswith("ok\n")
