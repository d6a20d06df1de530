"""How fast the order is: message delays that can be counted, and latencies that were published."""

from __future__ import annotations

import pytest

from simulations.consensus import figures
from simulations.consensus.figures import Figure


@pytest.mark.parametrize(("members", "leaders"), [(4, 1), (4, 2), (4, 4), (10, 1)])
def test_leaders_commit_after_exactly_three_delays(members: int, leaders: int):
    figure = figures.measure_leaders(members, leaders)
    assert (figure.measured, figure.bound, figure.is_exact) == (3.0, 3.0, True)


@pytest.mark.parametrize(
    ("members", "leaders", "counted"), [(4, 1, 4.25), (10, 1, 4.4), (4, 2, 4.0), (4, 4, 3.5)]
)
def test_mean_latency_is_the_counted_one(members: int, leaders: int, counted: float):
    figure = figures.measure_mean(members, leaders)
    assert figure.bound == counted
    assert figure.measured == pytest.approx(counted, rel=1e-9)
    assert figure.is_met


@pytest.mark.parametrize("members", [4, 10])
def test_blocks_made_at_the_quorum_cost_little_more(members: int):
    assert 4.0 < figures.measure_undrained(members).measured <= 4.65


def test_silent_leader_costs_its_timeout():
    """One delay to its round, two of waiting, three for the next leader."""
    assert figures.measure_silent_leader().measured == pytest.approx(6.0)


def test_healed_partition_commits_within_ten_rounds():
    assert figures.measure_healing().measured <= 10


def test_regions_are_as_fast_as_published_and_crashes_cost_less_than_double():
    healthy, crashed = figures.measure_regions()
    assert 200 < healthy.measured <= 520
    assert crashed.is_met


@pytest.mark.parametrize(
    ("measured", "is_exact", "is_met"),
    [(3.0, True, True), (2.9, True, False), (2.9, False, True), (3.1, False, False)],
)
def test_figure_is_met_exactly_or_at_most(measured: float, is_exact: bool, is_met: bool):
    assert Figure("any", "D", measured, 3.0, is_exact).is_met is is_met


def test_all_figures_are_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figures, "run_regions", lambda crashed, _warm: [90.0 + len(crashed)] * 20)
    found = list(figures.measure_all())
    assert len(found) == 14
    assert all(figure.is_met for figure in found)
