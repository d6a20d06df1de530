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


def test_efficiency_of_five_markets_is_as_printed():
    printed = (0.999, 0.992, 0.990, 0.982, 0.971)
    found = [get_formula(name).evaluate({}, 1) for name in ("zi_c_least", "zi_c_most")]
    assert found == [min(printed), max(printed)]
    assert get_formula("all_gains").evaluate({}, 1) == 1


@pytest.mark.parametrize(
    ("load", "share", "price"),
    [(0.5, 1, 20_000), (1.0, 1, 20_000), (2.0, 0.5, 60_000), (4.0, 0.25, 80_000)],
)
def test_congestion_is_counted(load: float, share: float, price: float):
    parameters = {"load": load, "value_low": 20_000, "value_high": 100_000, "cost": 20_000}
    assert get_formula("filled_share").evaluate(parameters, load) == share
    assert get_formula("clearing_price").evaluate(parameters, load) == price


@pytest.mark.parametrize(
    ("volume", "stake", "score"),
    [(20_000, 10**6, 5_000), (20_000, 100, 5_000), (180_000, 300, 7_500)],
)
def test_reputation_is_bought_at_the_price_of_the_rules(volume: int, stake: int, score: float):
    parameters = {"volume_ruv": volume, "stake_ruv": stake, "providers": 1}
    for name in ("bought_score", "split_score"):
        found = get_formula(name).evaluate(parameters, 1)
        assert found == pytest.approx(score, rel=1e-3)
    split = get_formula("split_score").evaluate({**parameters, "providers": 2}, 2)
    assert split < score


def test_cheating_stops_paying_where_counting_says():
    parameters = {
        "deal_ruv": 100,
        "cheats_percent": 100,
        "power_percent": 100,
        "stake_ruv": 1_000,
        "cost_percent": 80,
    }
    formula = get_formula("cheating_profit")
    honest = formula.evaluate({**parameters, "cheats_percent": 0, "checked_percent": 5}, 5)
    assert honest == pytest.approx(19.5)
    rate = 100 * 80 / (99.5 + 1_020)
    assert formula.evaluate({**parameters, "checked_percent": rate}, rate) == pytest.approx(honest)


@pytest.mark.parametrize("parameters", [{}, {"load": "high"}])
def test_absent_parameters_are_named(parameters: dict):
    with pytest.raises(BadScenario, match="'mm1_time_in_system' needs the parameter 'load'"):
        get_formula("mm1_time_in_system").evaluate(parameters, 0)


def test_every_formula_says_who_published_it():
    assert all(formula.source and formula.label for formula in FORMULAS.values())


def test_unknown_formula_is_told_what_it_may_mean():
    with pytest.raises(BadScenario, match="did you mean 'flood_copies'"):
        get_formula("flood_copys")
