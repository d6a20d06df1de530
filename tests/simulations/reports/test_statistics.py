"""Statistics of repeated runs, against values known otherwise."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.reports.statistics import compare_pairs, compute_interval, quantile

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def test_quantile_agrees_with_the_standard_library():
    values = [float(value) for value in (9, 1, 4, 7, 7, 2)]
    ours = [quantile(values, share / 4) for share in (1, 2, 3)]
    assert ours == statistics.quantiles(values, n=4, method="inclusive")
    assert (quantile(values, 0.0), quantile(values, 1.0)) == (1, 9)


def test_interval_is_a_point_where_all_values_are_equal():
    interval = compute_interval([3, 3, 3])
    assert (interval.median, interval.low, interval.high, interval.count) == (3, 3, 3, 3)


@given(NUMBERS)
def test_interval_holds_the_median_and_does_not_depend_on_the_order(values: list[float]):
    interval = compute_interval(values)
    assert interval == compute_interval(values[::-1])
    assert min(values) <= interval.low <= interval.high <= max(values)
    assert interval.median == statistics.median(values)


def test_interval_covers_the_true_median_about_as_often_as_it_says():
    stream = random.Random(1)
    covered = sum(
        interval.low <= 0.5 <= interval.high
        for interval in (compute_interval([stream.random() for _ in range(25)]) for _ in range(120))
    )
    assert 0.87 <= covered / 120 <= 1.0


def test_interval_of_many_values_is_resampled_less_often():
    interval = compute_interval([number / 4_000 for number in range(4_001)])
    assert interval.median == pytest.approx(0.5)
    assert 0.46 < interval.low < interval.high < 0.54


def test_pairs_are_compared_over_common_seeds_only():
    found = compare_pairs({1: 5.0, 2: 7.0, 3: 1.0, 9: 0.0}, {3: 1.0, 2: 9.0, 1: 4.0, 8: 50.0})
    assert found is not None
    assert (found.rises, found.falls, found.ties) == (1, 1, 1)
    assert (found.difference.median, found.difference.count) == (0.0, 3)
    assert compare_pairs({1: 1.0}, {2: 1.0}) is None
