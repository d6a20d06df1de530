"""Congestion: what becomes of prices, waiting and service when more is wanted than there is.

At fixed prices the first to come are served, and whoever comes later goes without: the share that
is served falls as capacity over demand. Where providers follow demand, the price rises until those
who value an answer least do not bid it any more, and everybody who does is served.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Final

from pydantic import Field, model_validator

from market.orders import Side
from simulations.economy.congestion import Demand, Supply, Town
from simulations.economy.exchange import HOUR_MS, START_MS
from simulations.results import Number, Outcome
from simulations.scenarios.charts import DIGITS, Chart
from simulations.scenarios.economies import Count, EconomyParameters, Percent
from simulations.streams import Streams

LOOKS_PER_HOUR: Final = 12
MS_PER_MIN: Final = 60_000


class Parameters(EconomyParameters):
    """How much there is, how much is wanted, and whether prices follow."""

    load: Annotated[float, Field(gt=0, le=4)] = 1.5
    """Lots that are wanted for each that is offered."""
    step_percent: Percent = 20
    """By which a provider changes its price at first; 0 for prices that stay."""
    providers: Count = 10
    lots: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Of each provider, an hour."""
    cost: Annotated[int, Field(ge=10_000, le=10_000_000)] = 20_000
    """Of a lot to its provider, in micro-ruv; nobody asks for less."""
    value_low: Annotated[int, Field(ge=10_000, le=10_000_000)] = 20_000
    """What a lot is worth to a buyer lies evenly from here on,"""
    value_high: Annotated[int, Field(ge=10_000, le=10_000_000)] = 100_000
    """to here."""
    patience_min: Annotated[int, Field(ge=0, le=600)] = 0
    """How long a bid waits; 0 for bids that are served at once or not at all."""
    hours: Annotated[int, Field(ge=2, le=23)] = 16
    """Less than the day after which every order ends."""

    @model_validator(mode="after")
    def _check_values(self) -> Parameters:
        if not self.cost <= self.value_low <= self.value_high:
            raise ValueError("cost, value_low and value_high have to rise in this order")
        return self


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let it go on for some hours; figures are of the second half, when prices have settled."""
    town = _found(parameters, seed)
    stream, charts = Streams(seed).get("demand"), _Charts(town)
    half = parameters.hours // 2
    wanted = able = filled = trades = 0
    for hour in range(parameters.hours):
        town.open_hour(parameters.hours - hour)
        if hour == half:
            wanted, able, filled = town.wanted, town.able, charts.filled
            trades = len(town.exchange.trades)
        for look in range(LOOKS_PER_HOUR):
            charts.look(look)
            town.live(START_MS + hour * HOUR_MS + (look + 1) * HOUR_MS // LOOKS_PER_HOUR, stream)
            charts.count()
        charts.close_hour()
    wanted, able, filled = town.wanted - wanted, town.able - able, charts.filled - filled
    paid = sum(trade.price * trade.lots for trade in town.exchange.trades[trades:])
    offered = parameters.providers * parameters.lots * (parameters.hours - half)
    return Outcome(
        world=town.exchange.describe(),
        metrics={
            "filled_share": round(filled / max(1, wanted), DIGITS),
            "able_filled_share": round(filled / max(1, able), DIGITS),
            "used_share": round(filled / offered, DIGITS),
            "price_uruv": round(paid / max(1, filled), DIGITS),
        },
        series=charts.trace(),
    )


def _found(parameters: Parameters, seed: int) -> Town:
    capacity = parameters.providers * parameters.lots
    demand = Demand(
        lots_per_hour=parameters.load * capacity,
        low=parameters.value_low,
        high=parameters.value_high,
        patience_ms=parameters.patience_min * MS_PER_MIN,
    )
    supply = Supply(
        providers=parameters.providers,
        lots=parameters.lots,
        floor=parameters.cost,
        step_bp=100 * parameters.step_percent,
    )
    return Town(seed, supply, demand)


class _Charts:
    """What a town looks like from time to time."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._prices, self._offered, self._bid, self._served = (Chart() for _ in range(4))
        self._left: list[list[int]] = [[] for _ in range(LOOKS_PER_HOUR)]
        """Lots offered, by the place of the look in its hour."""
        self.filled = 0
        """Lots that were served."""
        self._trades = 0
        self._hour = (0, 0)
        """Lots that were served and wanted when the hour began."""

    def look(self, place: int) -> None:
        """See what waits on both sides, at a place in the hour."""
        hours, offered = self._town.exchange.hours, self._town.count_resting(Side.OFFER)
        self._left[place].append(offered)
        self._offered.add(hours, offered)
        self._bid.add(hours, self._town.count_resting(Side.BID))

    def count(self) -> None:
        """Take in what was traded since the last time."""
        exchange = self._town.exchange
        fresh = exchange.trades[self._trades :]
        self._trades += len(fresh)
        lots = sum(trade.lots for trade in fresh)
        if lots:
            paid = sum(trade.price * trade.lots for trade in fresh)
            self._prices.add(exchange.hours, paid / lots)
        self.filled += lots

    def close_hour(self) -> None:
        """Of what was wanted in the hour, how much was served."""
        filled, wanted = self._hour
        self._hour = (self.filled, self._town.wanted)
        share = (self.filled - filled) / max(1, self._town.wanted - wanted)
        self._served.add(self._town.exchange.hours, min(1.0, share))

    def trace(self) -> dict[str, list[tuple[Number, Number]]]:
        """All curves."""
        profile = Chart()
        for place, left in enumerate(self._left):
            profile.add(60 * place / LOOKS_PER_HOUR, fmean(left) if left else 0)
        return {
            "offered_by_min": profile.trace(),
            "price_by_h": self._prices.trace(),
            "offered_by_h": self._offered.trace(),
            "bid_by_h": self._bid.trace(),
            "filled_by_h": self._served.trace(),
        }
