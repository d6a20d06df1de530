"""The threshold clock."""

from __future__ import annotations

from consensus.clock import ThresholdClock
from tests.support.lattice import make_committee


def test_clock_says_whether_it_moved():
    clock = ThresholdClock(make_committee(4))
    moved = [
        clock.add(*event) for event in [(0, 0), (0, 0), (0, 1), (0, 2), (0, 3), (4, 1), (3, 0)]
    ]
    assert moved == [False, False, False, True, False, True, False]
    assert clock.round == 4


def test_quorum_is_tested_at_once_after_a_jump():
    clock = ThresholdClock(make_committee(1), round_=2)
    assert clock.add(7, 0)
    assert clock.round == 8
