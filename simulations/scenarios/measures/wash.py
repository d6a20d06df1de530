"""A wash trader: one person behind both sides of every deal, who buys itself a reputation.

What it pays for it is the fee on what it turns over and nothing else, and its reputation is worth
exactly the part of that fee that was burned: no way of arranging its deals makes it cheaper.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from market.amounts import URUV_PER_RUV
from simulations.economy.dealing import SPARE_URUV, deal, find_stake, give_back
from simulations.economy.exchange import Exchange
from simulations.errors import CheckFailed
from simulations.results import Outcome
from simulations.scenarios.charts import Chart
from simulations.scenarios.economies import EconomyParameters, Ruv, to_ruv


class Parameters(EconomyParameters):
    """How much is turned over, and what is staked."""

    volume_ruv: Ruv = 20_000
    """All deals together."""
    deals: Annotated[int, Field(ge=1, le=500)] = 20
    stake_ruv: Ruv = 1_000_000
    """Or what the deals need, if that is more; reputation counts only as far as stake bears it."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let one person deal with itself, and count what that costs it."""
    worth_ruv = max(1, parameters.volume_ruv // parameters.deals)
    money = worth_ruv * URUV_PER_RUV + SPARE_URUV
    stake = max(find_stake(worth_ruv), parameters.stake_ruv * URUV_PER_RUV)
    exchange = Exchange(seed, {"left hand": 2 * money, "right hand": stake + SPARE_URUV})
    left, right = (exchange.directory.add(f"{side} hand") for side in ("left", "right"))
    exchange.open_shop(right, stake)
    exchange.commit()
    before, burned_before = exchange.count_wealth(left, right), exchange.state.ledger.totals.burned
    risen = Chart()
    for _ in range(parameters.deals):
        deal(exchange, left, right, worth_ruv)
        give_back(exchange, right, left)
        paid = before - exchange.count_wealth(left, right)
        risen.add(to_ruv(paid), exchange.get_reputation(right))
    totals = exchange.state.ledger.totals
    burned, paid = totals.burned - burned_before, before - exchange.count_wealth(left, right)
    standing = exchange.find_standing(right)
    if paid != burned + totals.pool or standing.good != burned:
        raise CheckFailed(
            "wash", f"{paid} uruv were paid for {burned} burned and {standing.good} of reputation"
        )
    return Outcome(
        world=exchange.describe(),
        metrics={
            "reputation_bp": exchange.get_reputation(right),
            "paid_ruv": to_ruv(paid),
            "burned_ruv": to_ruv(burned),
            "pooled_ruv": to_ruv(totals.pool),
        },
        series={"reputation_by_paid": risen.trace()},
    )
