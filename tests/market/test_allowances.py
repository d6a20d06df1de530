"""Allowances: a burst, then so many commands for each commit."""

from __future__ import annotations

import pytest

from market.allowances import BURST, RATE, Allowances
from market.errors import Code, Refused

ALICE, BOB = bytes(32), bytes([1]) * 32


def test_account_has_a_burst_and_then_what_commits_bring():
    allowances = Allowances()
    for _ in range(BURST):
        allowances.check(ALICE, 5)
        allowances.spend(ALICE, 5)
    with pytest.raises(Refused) as caught:
        allowances.check(ALICE, 5)
    assert caught.value.reason is Code.RATE_LIMITED
    allowances.check(BOB, 5)
    for _ in range(RATE):
        allowances.check(ALICE, 6)
        allowances.spend(ALICE, 6)
    with pytest.raises(Refused):
        allowances.check(ALICE, 6)


def test_allowance_does_not_grow_beyond_the_burst():
    allowances = Allowances()
    allowances.spend(ALICE, 1)
    allowances.spend(ALICE, 1_000)
    row = allowances.rows.get(ALICE)
    assert row is not None
    assert row.left == BURST - 1
