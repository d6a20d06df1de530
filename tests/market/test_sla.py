"""Guarantees: thresholds that an honest provider almost never reaches, and who probes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.sla import (
    PROBERS,
    SLASH_MAX_BP,
    compute_slash,
    compute_uptime,
    find_miss_threshold,
    get_guarantee,
    pick_probers,
)


@pytest.mark.parametrize(
    ("guarantee_bp", "thresholds"),
    [
        (9_000, (8, 14, 21)),
        (9_500, (6, 9, 14)),
        (9_900, (4, 5, 6)),
        (9_990, (2, 3, 3)),
    ],
)
def test_miss_thresholds_are_those_of_the_binomial_distribution(
    guarantee_bp: int, thresholds: tuple[int, ...]
):
    assert tuple(find_miss_threshold(guarantee_bp, n) for n in (20, 50, 100)) == thresholds


def test_threshold_lies_beyond_the_probes_when_chance_explains_everything():
    assert find_miss_threshold(9_500, 1) == 2
    assert find_miss_threshold(0, 5) == 6
    assert find_miss_threshold(10_000, 5) == 1


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0, 9_500, 9_900, 9_990]))
def test_slash_is_within_bounds_and_needs_a_broken_guarantee(ok: int, misses: int, guarantee: int):
    slash_bp = compute_slash(guarantee, ok, ok + misses)
    assert 0 <= slash_bp <= SLASH_MAX_BP
    if slash_bp:
        assert ok + misses >= 20
        assert misses >= find_miss_threshold(guarantee, ok + misses)
        assert compute_uptime(ok, ok + misses) < guarantee


def test_slash_is_four_times_the_shortfall():
    assert compute_slash(9_500, 86, 100) == 4 * 900
    assert compute_slash(9_990, 18, 20) == 4 * 990
    assert compute_slash(9_500, 0, 20) == SLASH_MAX_BP
    assert compute_slash(get_guarantee(0), 0, 100) == 0


accounts = st.binary(min_size=32, max_size=32)


@given(st.dictionaries(accounts, st.integers(0, 9), max_size=9), accounts, accounts)
def test_probers_are_drawn_by_weight_without_the_provider(
    weights: dict, beacon: bytes, provider: bytes
):
    probers = pick_probers(beacon, provider, 3, weights)
    able = [each for each in weights if weights[each] and each != provider]
    assert len(probers) == len(set(probers)) == min(PROBERS, len(able))
    assert set(probers) <= set(able)
    backwards = dict(reversed(weights.items()))
    assert pick_probers(beacon, provider, 3, backwards) == probers


def test_probers_differ_by_window_and_follow_the_weights():
    names = [bytes([number]) * 32 for number in range(20)]
    weights = dict.fromkeys(names, 1)
    draws = {pick_probers(bytes(32), names[0], window, weights) for window in range(9)}
    assert len(draws) == 9
    heavy = {**weights, names[7]: 10**9}
    assert pick_probers(bytes(32), names[0], 1, heavy)[0] == names[7]
