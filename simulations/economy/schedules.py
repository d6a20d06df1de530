"""What units are worth and cost to whom, and the best that any allocation could make of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["even", "crowded", "random"]

CEILING: Final = 200
"""Highest price anybody shouts, in price units; from 1 on."""
MIDDLE: Final = 100
CROWD_GAP: Final = 4
"""How near beyond the equilibrium those stand in a crowd who ought not to trade."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Units by trader: what each is worth to a buyer, or costs a seller, the best one first."""

    values: tuple[tuple[int, ...], ...]
    costs: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Equilibrium:
    """Where demand meets supply."""

    quantity: int
    low: int
    """Least price at which so many units are wanted and offered."""
    high: int
    surplus: int
    """The most that any allocation is worth."""

    @property
    def price(self) -> float:
        """The middle of the prices at which the market clears."""
        return (self.low + self.high) / 2


def draw_schedule(
    shape: Shape, buyers: int, sellers: int, units: int, stream: random.Random
) -> Schedule:
    """Units of a shape, dealt to traders at random.

    `even` has demand and supply as straight lines from one end of the prices to the other, and so
    as many units on either side of the equilibrium. In a `crowded` one half of the traders stands
    just beyond it. `random` draws every unit.
    """
    values = _draw_side(shape, buyers * units, stream, up=True)
    costs = _draw_side(shape, sellers * units, stream, up=False)
    if shape == "crowded":
        return Schedule(_deal_in_order(values, buyers), _deal_in_order(costs, sellers))
    stream.shuffle(values)
    stream.shuffle(costs)
    return Schedule(
        tuple(tuple(sorted(values[each::buyers], reverse=True)) for each in range(buyers)),
        tuple(tuple(sorted(costs[each::sellers])) for each in range(sellers)),
    )


def _draw_side(shape: Shape, count: int, stream: random.Random, *, up: bool) -> list[int]:
    if shape == "random":
        return [stream.randint(1, CEILING) for _ in range(count)]
    if shape == "crowded":
        good = count // 2
        gains = [1 + (MIDDLE - 2) * (good - rank) // max(1, good) for rank in range(good)]
        gains += [-1 - rank % CROWD_GAP for rank in range(count - good)]
    else:
        half = [(MIDDLE - 1) * (count - 1 - 2 * rank) // (count - 1) for rank in range(count // 2)]
        # As much beyond the equilibrium as before it: all units together are worth nothing.
        gains = [*half, *[0] * (count % 2), *(-gain for gain in reversed(half))]
    return [MIDDLE + gain if up else MIDDLE - gain for gain in gains]


def _deal_in_order(units: Sequence[int], traders: int) -> tuple[tuple[int, ...], ...]:
    """The first half of the traders gets the first half of the units, and so on."""
    each = len(units) // traders
    return tuple(tuple(units[first : first + each]) for first in range(0, each * traders, each))


def find_equilibrium(schedule: Schedule) -> Equilibrium:
    """Where sorted values and costs cross; no order book is asked."""
    values = sorted((unit for units in schedule.values for unit in units), reverse=True)
    costs = sorted(unit for units in schedule.costs for unit in units)
    gains = [value - cost for value, cost in zip(values, costs, strict=False)]
    quantity = sum(gain > 0 for gain in gains)
    surplus = sum(gain for gain in gains if gain > 0)
    inside = slice(max(0, quantity - 1), quantity)
    beyond = slice(quantity, quantity + 1)
    low = max([*costs[inside], *values[beyond]], default=0)
    high = min([*values[inside], *costs[beyond]], default=low)
    return Equilibrium(quantity, low, high, surplus)
