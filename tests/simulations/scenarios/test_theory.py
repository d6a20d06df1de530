"""Formulas agree with values from print, and say what they need."""

from __future__ import annotations

import math

import pytest

from simulations.scenarios.errors import BadScenario
from simulations.scenarios.theory import FORMULAS, get_formula


@pytest.mark.parametrize(
    ("fanout", "share"), [(2, 0.7968), (3, 0.9405), (4, 0.9802), (5, 0.9930), (8, 0.9997)]
)
def test_final_size_is_as_printed_where_few_begin(fanout: int, share: float):
    parameters = {"fanout": fanout, "nodes": 10_000_000, "origins": 1}
    assert get_formula("final_size").evaluate(parameters, fanout) == pytest.approx(share, abs=1e-4)


def test_final_size_counts_those_who_began():
    # At fanout 1, (1 - s) = (1 - s0) e^-s: with s0 = 0.1 that is s = 0.4184.
    parameters = {"fanout": 1, "nodes": 10, "origins": 1}
    share = get_formula("final_size").evaluate(parameters, 1)
    assert 1 - share == pytest.approx(0.9 * math.exp(-share), abs=1e-9)
    assert share > 0.1
    everybody = {"fanout": 1, "nodes": 5, "origins": 9}
    assert get_formula("final_size").evaluate(everybody, 1) == 1


def test_flood_copies_are_counted():
    formula = get_formula("flood_copies")
    assert formula.evaluate({"degree": 8, "nodes": 1_000}, 8) == pytest.approx(7.001)


@pytest.mark.parametrize(
    ("members", "leaders", "delays"), [(4, 1, 4.25), (10, 1, 4.4), (50, 1, 4.48), (4, 9, 3.5)]
)
def test_finality_is_counted_in_delays(members: int, leaders: int, delays: float):
    parameters = {"members": members, "leaders_per_round": leaders}
    mean = get_formula("finality_mean_delays").evaluate(parameters, members)
    assert mean == pytest.approx(delays)
    assert get_formula("finality_leader").evaluate({"one_way_ms": 100}, 100) == 300


def test_logistic_curve_begins_with_one_and_ends_with_all():
    formula, parameters = get_formula("logistic_si"), {"nodes": 1_000, "rate_per_s": 1.0}
    assert formula.evaluate(parameters, 0) == pytest.approx(0.001)
    assert formula.evaluate(parameters, 1_000 * math.log(999)) == pytest.approx(0.5)
    assert formula.evaluate(parameters, 60_000) == pytest.approx(1)


@pytest.mark.parametrize(("load", "time"), [(0.5, 2), (0.8, 5), (0.9, 10), (1.0, math.inf)])
def test_time_in_a_queue_is_erlangs(load: float, time: float):
    assert get_formula("mm1_time_in_system").evaluate({"load": load}, load) == pytest.approx(time)


@pytest.mark.parametrize("parameters", [{}, {"load": "high"}])
def test_absent_parameters_are_named(parameters: dict):
    with pytest.raises(BadScenario, match="'mm1_time_in_system' needs the parameter 'load'"):
        get_formula("mm1_time_in_system").evaluate(parameters, 0)


def test_every_formula_says_who_published_it():
    assert all(formula.source and formula.label for formula in FORMULAS.values())


def test_unknown_formula_is_told_what_it_may_mean():
    with pytest.raises(BadScenario, match="did you mean 'flood_copies'"):
        get_formula("flood_copys")
