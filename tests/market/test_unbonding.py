"""Unbonding: stake comes free after 14 days, less what penalties took."""

from __future__ import annotations

import pytest

from market.accounts import UNBONDING_MS, Ledger
from market.deadlines import UNBONDING, Deadlines
from market.errors import Refused
from market.events import Trail
from market.unbonding import Unbondings

ALICE = bytes(32)


def make_unbondings() -> tuple[Ledger, Deadlines, Unbondings]:
    ledger, deadlines = Ledger(), Deadlines()
    ledger.mint(ALICE, 100)
    ledger.stake(ALICE, 100)
    return ledger, deadlines, Unbondings(ledger, deadlines, Trail())


def test_stake_comes_free_after_its_time():
    ledger, deadlines, unbondings = make_unbondings()
    unbondings.begin(b"command", ALICE, 60, 5)
    assert list(deadlines.take_due(UNBONDING_MS + 4)) == []
    assert list(deadlines.take_due(UNBONDING_MS + 5)) == [UNBONDING + b"command"]
    unbondings.finish(b"command")
    assert (ledger.get(ALICE).free, ledger.get(ALICE).staked) == (60, 40)
    assert len(unbondings.rows) == 0


def test_penalty_reaches_stake_that_unbonds():
    ledger, _, unbondings = make_unbondings()
    unbondings.begin(b"command", ALICE, 60, 0)
    assert ledger.take_penalty(ALICE, 90) == 90
    unbondings.finish(b"command")
    assert ledger.get(ALICE).free == 10


def test_unbonding_more_than_the_stake_is_refused():
    _, deadlines, unbondings = make_unbondings()
    with pytest.raises(Refused):
        unbondings.begin(b"command", ALICE, 101, 0)
    assert len(deadlines) == len(unbondings.rows) == 0
