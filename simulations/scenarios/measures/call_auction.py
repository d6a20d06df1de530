"""A call auction: everybody names a limit, then all trade at once and at one price.

With honest limits nothing is left to be gained: efficiency is exactly 1, whatever the market.
Whoever asks for a better price than need be, though, may miss a trade that was worth its while.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from market.auction import Clearing, LimitOrder, clear
from simulations.economy.schedules import Shape, draw_schedule, find_equilibrium
from simulations.results import Number, Outcome
from simulations.scenarios.charts import DIGITS
from simulations.scenarios.economies import Count, EconomyParameters, Percent
from simulations.streams import Streams

SCALE = 1_000
"""Limits are finer than values, so that a shaded one is seldom another's."""


class Parameters(EconomyParameters):
    """Who names limits, and how honestly."""

    traders: Count = 20
    """Buyers, and as many sellers."""
    units: Count = 4
    shape: Shape = "random"
    shading_percent: Percent = 0
    """How much better than its worth a limit may be at most; drawn for every unit."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Hold one auction."""
    streams = Streams(seed)
    schedule = draw_schedule(
        parameters.shape,
        parameters.traders,
        parameters.traders,
        parameters.units,
        streams.get("schedule"),
    )
    best = find_equilibrium(schedule)
    values = [unit for units in schedule.values for unit in units]
    costs = [unit for units in schedule.costs for unit in units]
    stream = streams.get("shading")
    bids = _make_orders(values, -parameters.shading_percent, stream)
    offers = _make_orders(costs, parameters.shading_percent, stream)
    clearing = clear(bids, offers)
    gains = sum((values[fill.bid] - costs[fill.ask]) * fill.quantity for fill in clearing.fills)
    metrics: dict[str, Number] = {
        "efficiency": gains / best.surplus if best.surplus else 1,
        "lost_units": best.quantity - clearing.quantity,
        "traded_share": clearing.quantity / best.quantity if best.quantity else 1,
    }
    if clearing.quantity and best.price:
        metrics["price_ratio"] = round(clearing.price / SCALE / best.price, DIGITS)
    orders = len(bids) + len(offers)
    return Outcome(
        world={
            "fidelity": "auction",
            "crypto": "none",
            "events": orders,
            "digest": _digest(bids, offers, clearing),
        },
        metrics=metrics,
    )


def _make_orders(
    units: Sequence[int], shading_percent: int, stream: random.Random
) -> list[LimitOrder]:
    """An order for each unit; the shading is drawn even where there is none."""
    shares = [stream.random() for _ in units]
    return [
        LimitOrder(
            id=number,
            price=unit * SCALE + round(unit * SCALE * share * shading_percent / 100),
            quantity=1,
        )
        for number, (unit, share) in enumerate(zip(units, shares, strict=True))
    ]


def _digest(bids: Sequence[LimitOrder], offers: Sequence[LimitOrder], clearing: Clearing) -> str:
    return hashlib.sha256(repr((bids, offers, clearing)).encode()).hexdigest()[:32]
