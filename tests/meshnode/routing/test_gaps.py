"""The long gap between tokens is found within a quarter, and old gaps fade."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.gaps import COUNT_MAX, Gaps


def test_gaps_know_nothing_at_first():
    assert Gaps().find_long_ms() == 0
    assert Gaps().stall_ms(15_000) == 15_000


def test_stall_is_ten_times_the_long_gap():
    gaps = Gaps()
    for _ in range(98):
        gaps.note(30)
    for _ in range(2):
        gaps.note(3_000)
    assert 30_000 < gaps.stall_ms(15_000) <= 40_000


def test_one_long_gap_in_a_hundred_is_no_rule():
    gaps = Gaps()
    for _ in range(198):
        gaps.note(30)
    for _ in range(2):
        gaps.note(3_000)
    assert gaps.find_long_ms() < 40


def test_gaps_fade_when_there_are_many_newer_ones():
    gaps = Gaps()
    for _ in range(COUNT_MAX // 2):
        gaps.note(100_000)
    for _ in range(20 * COUNT_MAX):
        gaps.note(10)
    assert gaps.find_long_ms() <= 12


@given(st.lists(st.integers(-5, 10**7), min_size=1, max_size=300))
def test_long_gap_bounds_99_of_100_from_above_by_at_most_a_quarter(gaps_ms):
    gaps = Gaps()
    for gap_ms in gaps_ms:
        gaps.note(gap_ms)
    ordered = sorted(max(0, gap_ms) for gap_ms in gaps_ms)
    exact = ordered[len(ordered) - 1 - len(ordered) // 100]
    assert exact < gaps.find_long_ms() <= exact + exact // 4 + 1
