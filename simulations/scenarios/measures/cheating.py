"""A provider that does not deliver what it is paid for, and committees that check some of it.

It gives something cheaper than was asked for. Receipts say how much came, not what, so it is paid
until a check finds it out: then it loses the contract, all of its stake and its reputation, and
begins again under another name. It also tries to be paid by receipts that the buyer never signed.
"""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import Field

from dag.canonical import encode
from market.amounts import URUV_PER_RUV
from market.commands import PostReceipt, Transfer
from market.contracts import Contract
from market.receipts import SignedReceipt, sign_receipt
from simulations.economy.accounts import SUITE, Account
from simulations.economy.dealing import SPARE_URUV, condemn, find_stake, meet
from simulations.economy.exchange import Exchange
from simulations.economy.serving import make_receipt, serve, serve_all
from simulations.errors import CheckFailed
from simulations.results import Outcome
from simulations.scenarios.charts import DIGITS, Chart
from simulations.scenarios.economies import EconomyParameters, Percent, Ruv, to_ruv
from simulations.streams import Streams

OWNER = "owner"


class Parameters(EconomyParameters):
    """How it cheats, and how closely it is watched."""

    cheats_percent: Percent = 100
    """Of its contracts."""
    checked_percent: Percent = 5
    """Of all contracts, drawn after the answer is given."""
    power_percent: Percent = 100
    """How often a check of a cheated answer sees it."""
    deal_ruv: Ruv = 100
    cost_percent: Percent = 80
    """What honest delivery costs the provider, of the price; cheating costs nothing."""
    stake_ruv: Ruv = 1_000
    """Beside what an offer needs."""
    deals: Annotated[int, Field(ge=1, le=2_000)] = 100


def run(parameters: Parameters, seed: int) -> Outcome:
    """Let it serve, honestly or not, and count what it has in the end."""
    shop = _Shop(parameters, seed)
    for _ in range(parameters.deals):
        shop.serve_once()
    profit = shop.count_profit()
    return Outcome(
        world=shop.exchange.describe(),
        metrics={
            "profit_per_deal_ruv": round(to_ruv(profit) / parameters.deals, DIGITS),
            "cheated": shop.cheated,
            "caught": shop.caught,
            "forged": shop.forged,
            "slashed_ruv": to_ruv(shop.slashed),
            "reputation_bp": shop.exchange.get_reputation(shop.provider),
        },
        series={
            "profit_by_deals": shop.profits.trace(),
            "reputation_by_deals": shop.reputations.trace(),
        },
    )


class _Shop:
    """The provider's names, one after the other, and the owner of all of them."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        streams = Streams(seed)
        self._moods, self._checks = streams.get("moods"), streams.get("checks")
        self._stake = find_stake(parameters.deal_ruv) + parameters.stake_ruv * URUV_PER_RUV
        money = parameters.deals * parameters.deal_ruv * URUV_PER_RUV + SPARE_URUV
        purse = (parameters.deals + 1) * (self._stake + SPARE_URUV)
        self.exchange = Exchange(seed, {"buyer": money, OWNER: purse})
        self.buyer, self.owner = (self.exchange.directory.add(x) for x in ("buyer", OWNER))
        self.cheated = self.caught = self.forged = self.slashed = 0
        self.profits, self.reputations = Chart(), Chart()
        self._spent = self._served = 0
        self._names = [self.owner]
        self._begun = self.exchange.count_wealth(self.owner)
        self.provider = self._open()

    def _open(self) -> Account:
        """A new name, with money of the owner."""
        provider = self.exchange.directory.add(f"name {len(self._names)}")
        self._names.append(provider)
        self.exchange.say(self.owner, Transfer(provider.id, self._stake + SPARE_URUV))
        self.exchange.commit()
        self.exchange.open_shop(provider, self._stake)
        self.exchange.commit()
        return provider

    def serve_once(self) -> None:
        """One contract from its order to its end."""
        # Drawn whatever comes of it: runs that differ in one parameter stay comparable.
        mood, check, luck = (
            self._draw(self._moods),
            self._draw(self._checks),
            self._draw(self._checks),
        )
        contract = meet(self.exchange, self.buyer, self.provider, self._parameters.deal_ruv)
        serve(self.exchange)  # it accepts
        self.exchange.commit()
        cheats = mood < self._parameters.cheats_percent
        if cheats:
            self.cheated += 1
            self._try_forgery(contract)
        else:
            self._spent += contract.escrow * self._parameters.cost_percent // 100
        is_seen = check < self._parameters.checked_percent and luck < self._parameters.power_percent
        if cheats and is_seen:
            self._be_caught(contract)
        else:
            serve_all(self.exchange)
        self._served += 1
        self.profits.add(self._served, to_ruv(self.count_profit()))
        self.reputations.add(self._served, self.exchange.get_reputation(self.provider))

    def count_profit(self) -> int:
        """What all names and their owner have more than at first, less what serving cost."""
        return self.exchange.count_wealth(*self._names) - self._begun - self._spent

    def _draw(self, stream: random.Random) -> float:
        return 100 * stream.random()

    def _try_forgery(self, contract: Contract) -> None:
        """Sign for both sides. Raises `CheckFailed` if the market takes it."""
        receipt = make_receipt(self.exchange, contract)
        signature = sign_receipt(SUITE, self.provider.secrets, receipt)
        forged = SignedReceipt(encode(receipt), signature, signature)
        self.exchange.say(self.provider, PostReceipt(forged))
        self.exchange.commit()
        if contract.receipt is not None:
            raise CheckFailed("forgery", "a receipt counts that the buyer never signed")
        self.forged += 1

    def _be_caught(self, contract: Contract) -> None:
        before = self.exchange.count_wealth(self.provider)
        condemn(self.exchange, contract, self.buyer, is_fraud=True)
        left = self.exchange.state.ledger.get(self.provider.id)
        if left.staked or left.unbonding:
            raise CheckFailed("fraud", "a provider that was found out keeps stake")
        self.caught += 1
        self.slashed += before + contract.collateral - self.exchange.count_wealth(self.provider)
        self.provider = self._open()
