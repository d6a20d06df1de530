"""Traders without intelligence, after Gode and Sunder (1993): they shout prices at random.

One trader shouts at a time, for the next of its units. With a budget it shouts no price at which
it would lose, without one any price at all. A shout stands until its trader makes a better one, a
trade sweeps all shouts away (or does not), and everybody goes on until nobody can trade.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

from market.commands import CancelAll, ReplaceOrder
from market.orders import Side
from simulations.economy.accounts import Account
from simulations.economy.exchange import Exchange
from simulations.economy.schedules import CEILING, Schedule
from simulations.economy.serving import serve, serve_all

Rule = Literal["sweep", "keep"]

UNIT_URUV: Final = 1_000
"""Micro-ruv of one price unit."""
MARGIN_URUV: Final = 1_000_000
"""What a trader has beyond the price of its units, for bonds of orders."""


@dataclass(slots=True)
class Trader:
    """Somebody with units to buy or to sell, the best one first."""

    account: Account
    side: Side
    units: tuple[int, ...]
    traded: int = 0

    @property
    def unit(self) -> int | None:
        """What the next unit is worth or costs; None if there is no more."""
        return self.units[self.traded] if self.traded < len(self.units) else None


@dataclass(frozen=True, slots=True)
class Deal:
    """One unit that passed from a seller to a buyer."""

    price: int
    value: int
    cost: int


class Crowd:
    """Buyers and sellers who know nothing of each other."""

    def __init__(
        self, schedule: Schedule, seed: int, stream: random.Random, *, budget: bool, rule: Rule
    ) -> None:
        """Make an exchange for them, and let them in."""
        self._stream: Final = stream
        self._budget: Final = budget
        self._rule: Final = rule
        self.deals: list[Deal] = []
        self.shouts = 0
        sides = ((Side.BID, "buyer", schedule.values), (Side.OFFER, "seller", schedule.costs))
        money = 2 * CEILING * UNIT_URUV
        self.exchange: Final = Exchange(
            seed,
            {
                f"{name} {number}": len(units) * money + MARGIN_URUV
                for _, name, rows in sides
                for number, units in enumerate(rows)
            },
        )
        self.traders: Final = [
            Trader(self.exchange.directory.add(f"{name} {number}"), side, units)
            for side, name, rows in sides
            for number, units in enumerate(rows)
        ]
        self._by_account: Final = {trader.account.id: trader for trader in self.traders}
        for trader in self.traders:
            if trader.side is Side.OFFER:
                self.exchange.open_shop(trader.account, len(trader.units) * money // 2)
        self.exchange.commit()

    def shout_on(self, shouts_max: int) -> None:
        """Go on until nobody can trade, or so many shouts were made."""
        while self.shouts < shouts_max and self._can_trade():
            self.shout()

    def shout(self) -> None:
        """One trader names a price; if that makes a trade, it is carried out."""
        able = [trader for trader in self.traders if trader.unit is not None]
        trader = able[self._stream.randrange(len(able))]
        price = self._draw_price(trader) * UNIT_URUV
        self.shouts += 1
        standing = self.exchange.list_orders(trader.account)
        if not standing:
            place = self.exchange.bid if trader.side is Side.BID else self.exchange.offer
            place(trader.account, price, 1)
        elif _is_better(trader.side, price, standing[0].price_uruv):
            order = standing[0].id
            assert isinstance(order, bytes)
            self.exchange.say(trader.account, ReplaceOrder(order, price, 1))
        else:
            return
        before = len(self.exchange.trades)
        self.exchange.commit()
        if len(self.exchange.trades) > before:
            self._carry_out()

    def _carry_out(self) -> None:
        """The last trade: both sides move on to their next unit."""
        trade = self.exchange.trades[-1]
        buyer, seller = self._by_account[trade.buyer], self._by_account[trade.provider]
        assert buyer.unit is not None
        assert seller.unit is not None
        self.deals.append(Deal(trade.price // UNIT_URUV, buyer.unit, seller.unit))
        buyer.traded += 1
        seller.traded += 1
        if self._rule == "sweep":
            for trader in self.traders:
                if self.exchange.list_orders(trader.account):
                    self.exchange.say(trader.account, CancelAll())
        serve(self.exchange)
        self.exchange.commit()
        serve_all(self.exchange)

    def _draw_price(self, trader: Trader) -> int:
        unit = trader.unit
        assert unit is not None
        if not self._budget:
            return self._stream.randint(1, CEILING)
        if trader.side is Side.BID:
            return self._stream.randint(1, unit)
        return self._stream.randint(unit, CEILING)

    def _can_trade(self) -> bool:
        bids = [each.unit for each in self.traders if each.side is Side.BID]
        offers = [each.unit for each in self.traders if each.side is Side.OFFER]
        values = [unit for unit in bids if unit is not None]
        costs = [unit for unit in offers if unit is not None]
        if not values or not costs:
            return False
        return not self._budget or max(values) >= min(costs)


def _is_better(side: Side, price: int, standing: int) -> bool:
    return price > standing if side is Side.BID else price < standing
