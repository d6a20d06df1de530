"""A whitewasher: a provider that failed, and comes back under another name.

It leaves its good deeds behind together with its bad ones and begins at nothing, where nobody
stands lower. Whether that is worth its while depends on how much worse than nothing it had become;
what it saves in fees is bounded by what it did, and its old stake follows two weeks later.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from market.amounts import URUV_PER_RUV
from market.commands import Unstake
from simulations.economy.accounts import Account
from simulations.economy.dealing import SPARE_URUV, deal, fail, find_stake
from simulations.economy.exchange import HOUR_MS, Exchange
from simulations.errors import CheckFailed
from simulations.results import Outcome
from simulations.scenarios.charts import Chart
from simulations.scenarios.economies import EconomyParameters, Ruv, to_ruv

MINUTE_MS = HOUR_MS // 60


class Parameters(EconomyParameters):
    """What it has done, and what it does then."""

    reaction: Literal["stays", "leaves"] = "leaves"
    history: Annotated[int, Field(ge=0, le=500)] = 30
    """Deals that went well before."""
    faults: Annotated[int, Field(ge=0, le=200)] = 4
    """Deals that were not delivered."""
    deal_ruv: Ruv = 1_000
    interval_min: Annotated[int, Field(ge=0, le=1_440)] = 30
    """Between two deals; good and bad deeds fade from hour to hour."""
    goal_bp: Annotated[int, Field(ge=1, le=9_000)] = 2_000
    """Reputation that it wants to have again."""
    deals_max: Annotated[int, Field(ge=1, le=2_000)] = 500
    stake_ruv: Ruv = 100_000


def run(parameters: Parameters, seed: int) -> Outcome:
    """Do well, fail, and do well until the reputation is there again."""
    life = _Life(parameters, seed)
    for _ in range(parameters.history):
        life.do_well()
    before = life.look()
    for _ in range(parameters.faults):
        fail(life.exchange, life.buyer, life.provider, parameters.deal_ruv)
    after = life.look()
    if parameters.reaction == "leaves":
        life.leave()
    start = life.look()
    if start > after and parameters.reaction == "leaves":
        raise CheckFailed("whitewash", f"a new name stands at {start}, the old one at {after}")
    burned, deals = life.exchange.state.ledger.totals.burned, 0
    while life.look() < parameters.goal_bp and deals < parameters.deals_max:
        life.do_well()
        deals += 1
    return Outcome(
        world=life.exchange.describe(),
        metrics={
            "burned_again_ruv": to_ruv(life.exchange.state.ledger.totals.burned - burned),
            "deals_again": deals,
            "reached": int(life.look() >= parameters.goal_bp),
            "before_bp": before,
            "after_bp": after,
            "start_bp": start,
        },
        series={"reputation_by_h": life.chart.trace()},
    )


class _Life:
    """A provider under one name after the other, and somebody who buys."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._stake = find_stake(parameters.deal_ruv) + parameters.stake_ruv * URUV_PER_RUV
        deals = parameters.history + parameters.faults + parameters.deals_max
        money = deals * parameters.deal_ruv * URUV_PER_RUV
        begins = self._stake + SPARE_URUV
        self.exchange = Exchange(
            seed, {"buyer": money + SPARE_URUV, "old name": begins, "new name": begins}
        )
        self.buyer = self.exchange.directory.add("buyer")
        self.chart = Chart()
        self.provider = self._open("old name")

    def _open(self, name: str) -> Account:
        provider = self.exchange.directory.add(name)
        self.exchange.open_shop(provider, self._stake)
        self.exchange.commit()
        return provider

    def do_well(self) -> None:
        """One honest deal, and the time until the next one."""
        deal(self.exchange, self.buyer, self.provider, self._parameters.deal_ruv)
        self.look()
        if self._parameters.interval_min:
            self.exchange.commit(self._parameters.interval_min * MINUTE_MS)

    def leave(self) -> None:
        """Take another name; the old one's stake begins to come free."""
        old = self.exchange.state.ledger.get(self.provider.id)
        self.exchange.say(self.provider, Unstake(old.staked))
        self.provider = self._open("new name")

    def look(self) -> int:
        """How the present name stands now, in basis points."""
        reputation = self.exchange.get_reputation(self.provider)
        self.chart.add(self.exchange.hours, reputation)
        return reputation
