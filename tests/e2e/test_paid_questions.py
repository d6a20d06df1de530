"""Paid questions are answered and every micro-ruv is found again: the short form of `make paid`."""

from __future__ import annotations

import pytest

from tests.support.campaign import run_campaign


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_paid_questions_survive_a_killed_provider():
    shown = run_campaign("paid_questions", "--questions", "10", timeout_s=380)
    assert shown.endswith("ok\n")
