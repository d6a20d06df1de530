"""Allowances: a burst, then so many commands for each commit."""

from __future__ import annotations

import pytest

from market.allowances import BURST, RATE, Allowances
from market.errors import Code, Refused

ALICE, BOB = bytes(32), bytes([1]) * 32


def test_account_has_a_burst_and_then_what_commits_bring():
    allowances = Allowances()
    for _ in range(BURST):
        allowances.spend(ALICE, 5, allowances.count(ALICE, 5))
    with pytest.raises(Refused) as caught:
        allowances.count(ALICE, 5)
    assert caught.value.reason is Code.RATE_LIMITED
    assert allowances.count(BOB, 5) == BURST
    for left in range(RATE, 0, -1):
        assert allowances.count(ALICE, 6) == left
        allowances.spend(ALICE, 6, left)
    with pytest.raises(Refused):
        allowances.count(ALICE, 6)


def test_allowance_does_not_grow_beyond_the_burst():
    allowances = Allowances()
    allowances.spend(ALICE, 1, BURST)
    assert allowances.count(ALICE, 1) == BURST - 1
    assert allowances.count(ALICE, 1_000) == BURST
