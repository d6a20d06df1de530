"""Traders who shout prices at random: what the market's rules alone make of it.

Gode and Sunder (1993) found that markets of such traders come near all gains that can be had, if
only nobody may trade at a loss: 97.1 to 99.9 % in their five markets, 48.8 to 90.0 % without that
rule.
"""

from __future__ import annotations

from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from simulations.economy.schedules import Equilibrium, Shape, draw_schedule, find_equilibrium
from simulations.economy.zero_intelligence import Crowd, Deal, Rule
from simulations.results import Number, Outcome
from simulations.scenarios.charts import DIGITS, Chart
from simulations.scenarios.economies import Count, EconomyParameters
from simulations.streams import Streams


class Parameters(EconomyParameters):
    """Who trades, and by which rules."""

    traders: Literal["zi_c", "zi_u"] = "zi_c"
    """Constrained to prices at which they do not lose, or not."""
    shape: Shape = "even"
    """Of demand and supply; see `simulations.economy.schedules`."""
    buyers: Count = 6
    sellers: Count = 6
    units: Annotated[int, Field(ge=1, le=50)] = 6
    """Of each trader; 18 trades are best then, and were 6 to 24 in the experiments."""
    rule: Rule = "sweep"
    """Whether a trade sweeps all other orders away, as in the experiments, or they stay."""
    shouts_max: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let them shout until nobody can trade any more."""
    streams = Streams(seed)
    schedule = draw_schedule(
        parameters.shape,
        parameters.buyers,
        parameters.sellers,
        parameters.units,
        streams.get("schedule"),
    )
    best = find_equilibrium(schedule)
    crowd = Crowd(
        schedule,
        seed,
        streams.get("shouts"),
        budget=parameters.traders == "zi_c",
        rule=parameters.rule,
    )
    crowd.shout_on(parameters.shouts_max)
    prices, errors = _trace(crowd.deals, best)
    return Outcome(
        world=crowd.exchange.describe(),
        metrics=_measure(crowd.deals, best) | {"shouts": crowd.shouts},
        samples={"price_ratio": sorted(_find_ratio(deal, best) for deal in crowd.deals)},
        series={"price_by_trades": prices, "error_by_trades": errors},
    )


def _measure(deals: list[Deal], best: Equilibrium) -> dict[str, Number]:
    gains = sum(deal.value - deal.cost for deal in deals)
    found: dict[str, Number] = {
        # With nothing to gain, whoever gains nothing has done as well as can be.
        "efficiency": gains / best.surplus if best.surplus else float(gains == 0),
        "trades": len(deals),
        "trades_ratio": len(deals) / best.quantity if best.quantity else float(not deals),
    }
    if deals:
        found["price_ratio"] = round(fmean(_find_ratio(deal, best) for deal in deals), DIGITS)
    return found


def _find_ratio(deal: Deal, best: Equilibrium) -> float:
    """A price, where 1 is that of the equilibrium; without one, that of the deal is as good."""
    return round(deal.price / best.price, DIGITS) if best.price else 1.0


def _trace(
    deals: list[Deal], best: Equilibrium
) -> tuple[list[tuple[Number, Number]], list[tuple[Number, Number]]]:
    """Prices, and how far they are off, by how much of the equilibrium's volume has traded."""
    prices, errors = Chart(), Chart()
    for number, deal in enumerate(deals, 1):
        share, ratio = number / max(1, best.quantity), _find_ratio(deal, best)
        prices.add(share, ratio)
        errors.add(share, abs(ratio - 1))
    return prices.trace(), errors.trace()
