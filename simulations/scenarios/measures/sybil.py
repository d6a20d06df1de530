"""Sybils: the same deals and the same stake, behind one name or behind many.

Reputation adds up over counterparties, so it does not matter how many buyers there are. A provider
that splits itself splits its fees and its stake: the best of its parts stands worse than it did.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from market.amounts import URUV_PER_RUV
from simulations.economy.dealing import SPARE_URUV, deal, find_stake
from simulations.economy.exchange import Exchange
from simulations.results import Outcome
from simulations.scenarios.economies import EconomyParameters, Ruv, to_ruv


class Parameters(EconomyParameters):
    """What there is, and over how many names it is spread."""

    buyers: Annotated[int, Field(ge=1, le=16)] = 1
    providers: Annotated[int, Field(ge=1, le=16)] = 1
    volume_ruv: Ruv = 40_000
    """All deals together."""
    deals: Annotated[int, Field(ge=16, le=500)] = 48
    stake_ruv: Ruv = 4_000
    """All providers together, beside what their deals need."""


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let every buyer deal with every provider in turn."""
    worth_ruv = max(1, parameters.volume_ruv // parameters.deals)
    stake = find_stake(worth_ruv) + parameters.stake_ruv * URUV_PER_RUV // parameters.providers
    money = parameters.deals * worth_ruv * URUV_PER_RUV + SPARE_URUV
    names = {f"buyer {each}": money for each in range(parameters.buyers)}
    names |= {f"provider {each}": stake + SPARE_URUV for each in range(parameters.providers)}
    exchange = Exchange(seed, names)
    buyers = [exchange.directory.add(f"buyer {each}") for each in range(parameters.buyers)]
    providers = [exchange.directory.add(f"provider {each}") for each in range(parameters.providers)]
    for provider in providers:
        exchange.open_shop(provider, stake)
    exchange.commit()
    burned_before = exchange.state.ledger.totals.burned
    for number in range(parameters.deals):
        turn, place = divmod(number, parameters.providers)
        deal(exchange, buyers[turn % parameters.buyers], providers[place], worth_ruv)
    scores = [exchange.get_reputation(provider) for provider in providers]
    return Outcome(
        world=exchange.describe(),
        metrics={
            "best_bp": max(scores),
            "worst_bp": min(scores),
            "burned_ruv": to_ruv(exchange.state.ledger.totals.burned - burned_before),
        },
    )
