"""Many numbers made few."""

from __future__ import annotations

import pytest

from simulations.scenarios.summary import (
    find_quantile,
    make_samples_ms,
    summarise_ms,
    thin,
    to_ms,
    trace_coverage,
)


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.99, 4), (1.0, 4)]
)
def test_quantile_is_a_value_that_occurred(share: float, value: int):
    assert find_quantile([1, 2, 3, 4], share) == value


def test_summary_takes_delays_in_any_order():
    delays_ns = [ms * 1_000_000 for ms in (100, *range(1, 100))]
    assert summarise_ms(delays_ns) == {"p50_ms": 50, "p95_ms": 95, "p99_ms": 99, "max_ms": 100}
    assert make_samples_ms(delays_ns) == list(range(1, 101))


def test_nothing_has_no_quantiles():
    assert summarise_ms([]) == {}
    assert make_samples_ms([]) == []


def test_thinned_values_keep_both_ends():
    assert thin(range(10), 20) == list(range(10))
    assert thin(range(1_001), 11) == list(range(0, 1_001, 100))


def test_nanoseconds_survive_in_milliseconds():
    assert to_ms(1_234_567_891) == 1234.567891


def test_coverage_begins_with_nobody_and_grows_to_what_was_reached():
    times_ns = [3_000_000, 1_000_000, 1_000_000]
    assert trace_coverage(times_ns, 4) == [(0, 0), (1.0, 0.5), (3.0, 0.75)]
    assert trace_coverage([], 0) == [(0, 0)]
    many = trace_coverage(range(0, 10**9, 10**6), 1_000)
    assert len(many) == 200
    assert many[-1] == (999.0, 1.0)
