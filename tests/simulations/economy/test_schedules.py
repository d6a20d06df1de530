"""Schedules have the shape they say, and their best allocation is that of exhaustive search."""

from __future__ import annotations

import itertools
import random

import pytest

from simulations.economy.schedules import (
    CEILING,
    MIDDLE,
    Schedule,
    draw_schedule,
    find_equilibrium,
)


def find_best(schedule: Schedule) -> int:
    """The most that pairing units can be worth, by trying all pairings."""
    values = [unit for units in schedule.values for unit in units]
    costs = [unit for units in schedule.costs for unit in units]
    if len(values) > len(costs):
        values, costs = [-cost for cost in costs], [-value for value in values]
    return max(
        sum(max(0, value - cost) for value, cost in zip(values, chosen, strict=True))
        for chosen in itertools.permutations(costs, len(values))
    )


@pytest.mark.parametrize("seed", range(20))
def test_surplus_is_the_most_that_any_pairing_is_worth(seed: int):
    stream = random.Random(seed)
    schedule = draw_schedule("random", stream.randint(1, 3), stream.randint(1, 3), 2, stream)
    assert find_equilibrium(schedule).surplus == find_best(schedule)


@pytest.mark.parametrize("seed", range(20))
def test_at_an_equilibrium_price_as_much_is_wanted_as_offered(seed: int):
    schedule = draw_schedule("random", 5, 7, 3, random.Random(seed))
    best = find_equilibrium(schedule)
    assert best.low <= best.price <= best.high
    values = [unit for units in schedule.values for unit in units]
    costs = [unit for units in schedule.costs for unit in units]
    # Whoever is on the price itself may trade or not.
    assert sum(value > best.price for value in values) <= best.quantity
    assert sum(value >= best.price for value in values) >= best.quantity
    assert sum(cost < best.price for cost in costs) <= best.quantity
    assert sum(cost <= best.price for cost in costs) >= best.quantity


@pytest.mark.parametrize("units", [1, 3, 4])
def test_even_schedule_has_as_much_beyond_its_middle_as_before(units: int):
    schedule = draw_schedule("even", 5, 5, units, random.Random(1))
    values = sorted(unit for units in schedule.values for unit in units)
    costs = sorted(unit for units in schedule.costs for unit in units)
    assert values == costs
    assert sum(values) == len(values) * MIDDLE
    assert (values[0], values[-1]) == (1, CEILING - 1)
    assert find_equilibrium(schedule).price == MIDDLE


def test_crowd_stands_just_beyond_the_equilibrium():
    schedule = draw_schedule("crowded", 6, 6, 4, random.Random(1))
    assert all(min(units) > MIDDLE for units in schedule.values[:3])
    assert all(MIDDLE - 5 < unit < MIDDLE for units in schedule.values[3:] for unit in units)
    best = find_equilibrium(schedule)
    assert best.quantity == 12
    assert (best.low, best.high) == (99, 101)


@pytest.mark.parametrize("shape", ["even", "crowded", "random"])
def test_best_units_come_first(shape):
    schedule = draw_schedule(shape, 4, 4, 5, random.Random(9))
    assert all(units == tuple(sorted(units, reverse=True)) for units in schedule.values[:2])
    assert all(units == tuple(sorted(units)) for units in schedule.costs[:2])
    assert all(len(units) == 5 for units in (*schedule.values, *schedule.costs))


def test_one_unit_each_is_a_market():
    schedule = draw_schedule("even", 1, 1, 1, random.Random(1))
    best = find_equilibrium(schedule)
    assert (best.quantity, best.surplus, best.price) == (0, 0, MIDDLE)


def test_market_without_buyers_has_no_equilibrium():
    best = find_equilibrium(Schedule((), ()))
    assert (best.quantity, best.low, best.high) == (0, 0, 0)
