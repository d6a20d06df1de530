"""Curves keep their ends and fit a picture."""

from __future__ import annotations

from simulations.scenarios.charts import Chart
from simulations.scenarios.summary import SERIES_MAX


def test_curve_is_thinned_and_keeps_its_ends():
    chart = Chart()
    for place in range(1_000):
        chart.add(place, place * place)
    points = chart.trace()
    assert len(points) == SERIES_MAX
    assert (points[0], points[-1]) == ((0, 0), (999, 998_001))


def test_later_value_of_a_place_counts():
    chart = Chart()
    chart.add(1, 5)
    chart.add(1, 7.123_456_78)
    assert chart.trace() == [(1, 7.123_457)]
