"""Allowances: a burst, then so many commands for each commit."""

from __future__ import annotations

from market.allowances import BURST, RATE, Allowances
from market.commands import Stake
from tests.support.market_scene import MarketScene

ALICE, BOB = bytes(32), bytes([1]) * 32


def test_account_has_a_burst_and_then_what_commits_bring():
    allowances = Allowances()
    assert allowances.count(ALICE, 5) == BURST
    allowances.settle({ALICE: 0}, 5)
    assert allowances.count(ALICE, 5) == 0
    assert allowances.count(BOB, 5) == BURST
    assert allowances.count(ALICE, 6) == RATE
    allowances.settle({ALICE: 3, BOB: 1}, 6)
    assert [allowances.count(each, 7) for each in (ALICE, BOB)] == [3 + RATE, 1 + RATE]


def test_allowance_does_not_grow_beyond_the_burst():
    allowances = Allowances()
    allowances.settle({ALICE: BURST - 1}, 1)
    assert allowances.count(ALICE, 1) == BURST - 1
    assert allowances.count(ALICE, 1_000) == BURST


def test_commands_beyond_the_allowance_are_refused_and_refusals_cost_nothing():
    scene = MarketScene()
    everything, some = Stake(10**15), Stake(1)
    scene.say(1, *[everything] * 5, *[some] * (BURST + 1))
    assert sorted(scene.codes()) == ["insufficient_funds"] * 5 + ["rate_limited"]
    scene.say(1, *[some] * (RATE + 2))
    assert scene.codes() == ["rate_limited"] * 2
