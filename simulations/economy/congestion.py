"""Capacity that is offered by the hour, and people who want some of it, more or less of them.

Providers keep rate offers: so many lots an hour, and what is not sold by its end is gone. At its end
they look at the book: if all is sold they ask for more in the next hour, and otherwise for less, in
ever smaller steps. Buyers bid what an answer is worth to them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from market.amounts import BASIS_POINTS
from market.commands import CancelOrder
from market.orders import Side
from simulations.economy.accounts import Account
from simulations.economy.exchange import COMMIT_MS, HOUR_MS, START_MS, Exchange
from simulations.economy.serving import serve_all

BUYERS: Final = 20
PURSE_URUV: Final = 10**13
LOTS_MAX: Final = 8
"""Of one bid; all sizes up to it are equally likely."""
SOLD_OUT_PERCENT: Final = 95
"""Where so much of an hour's lots was sold, more could have been asked for."""
TICK_URUV: Final = 100


@dataclass(frozen=True, slots=True)
class Demand:
    """Who wants how much, and at what price."""

    lots_per_hour: float
    low: int
    """Least that an answer is worth to anybody, in micro-ruv a lot."""
    high: int
    patience_ms: int
    """0 for bids that are served at once or not at all."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What is offered, alike by all providers."""

    providers: int
    lots: int
    """Of each provider, an hour."""
    floor: int
    """What a lot costs it, in micro-ruv; it never asks for less."""
    step_bp: int
    """By which it changes its price at first; 0 for prices that stay."""


@dataclass(slots=True)
class Provider:
    """Somebody who offers so many lots an hour."""

    account: Account
    lots: int
    floor: int
    """What a lot costs it; it never asks for less."""
    price: int
    step_bp: int
    """By which it changes its price; halved whenever it turns round."""
    rises: bool = True


class Town:
    """Providers, buyers, and a market between them."""

    def __init__(self, seed: int, supply: Supply, demand: Demand) -> None:
        """Found it: every provider begins at what a lot costs it."""
        names = [f"provider {each}" for each in range(supply.providers)]
        buyers = [f"buyer {each}" for each in range(BUYERS)]
        self.exchange: Final = Exchange(seed, dict.fromkeys((*names, *buyers), PURSE_URUV))
        add = self.exchange.directory.add
        self.providers: Final = [
            Provider(add(name), supply.lots, supply.floor, supply.floor, supply.step_bp)
            for name in names
        ]
        self._buyers: Final = [add(name) for name in buyers]
        self._demand: Final = demand
        self._owed = 0.0
        """Lots that are wanted, and not yet bid for."""
        self._lived_ms = START_MS
        self.wanted = self.able = 0
        """Lots that were bid for, and those of them for no less than somebody asked."""
        for provider in self.providers:
            self.exchange.open_shop(provider.account, PURSE_URUV // 2)
        self.exchange.commit()

    def open_hour(self, hours_left: int) -> None:
        """Whoever has no offer makes one, for all hours to come."""
        for provider in self.providers:
            if not self.exchange.list_orders(provider.account):
                self.exchange.offer(
                    provider.account, provider.price, provider.lots, epochs=hours_left
                )
        self.exchange.commit()

    def live(self, ends_ms: int, stream: random.Random) -> None:
        """People come and bid, for a while; whoever is served is served at once."""
        exchange = self.exchange
        self._owed += self._demand.lots_per_hour * (ends_ms - self._lived_ms) / HOUR_MS
        self._lived_ms = ends_ms
        while self._owed >= 1:
            self._bid(stream)
        exchange.commit()
        serve_all(exchange)
        if ends_ms % HOUR_MS == 0:
            # Before the next commit begins an hour, in which every offer is whole again.
            self._close_hour()
        exchange.commit(ends_ms - exchange.time_ms)

    def _close_hour(self) -> None:
        """Look at what nobody bought; whoever wants another price takes its offer back."""
        lots = sum(provider.lots for provider in self.providers)
        is_sold = 100 * self.count_resting(Side.OFFER) <= (100 - SOLD_OUT_PERCENT) * lots
        for provider in self.providers:
            price = _choose_price(provider, rises=is_sold)
            if price == provider.price:
                continue
            provider.price = price
            for order in self.exchange.list_orders(provider.account):
                assert isinstance(order.id, bytes)
                self.exchange.say(provider.account, CancelOrder(order.id))
        self.exchange.commit()

    def count_resting(self, side: Side) -> int:
        """Lots that rest on a side."""
        return sum(order.lots for order in self.exchange.list_resting(side))

    def _bid(self, stream: random.Random) -> None:
        lots = stream.randint(1, LOTS_MAX)
        worth = stream.randint(self._demand.low, self._demand.high) // TICK_URUV * TICK_URUV
        buyer = self._buyers[stream.randrange(BUYERS)]
        patience_ms = self._demand.patience_ms
        expires_ms = self.exchange.time_ms + COMMIT_MS + patience_ms if patience_ms else None
        self.exchange.bid(buyer, worth, lots, expires_ms=expires_ms)
        self.wanted += lots
        self.able += lots if worth >= min(each.price for each in self.providers) else 0
        self._owed -= lots


def _choose_price(provider: Provider, *, rises: bool) -> int:
    """More or less than before, by a step that shrinks around the right price."""
    if rises != provider.rises:
        provider.rises, provider.step_bp = rises, provider.step_bp // 2
    step = provider.price * provider.step_bp // BASIS_POINTS // TICK_URUV * TICK_URUV
    return max(provider.floor, provider.price + (step if rises else -step))
