"""The money behind open orders: what each reserves, and what of it a fill takes.

An order reserves what it may cost before the book sees it: a bid its price, from free money; an
offer its collateral, from the stake; both a bond. So every trade is covered, and no book needs to
know of money.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec

from market.accounts import Ledger
from market.amounts import ORDER_BOND_URUV, compute_collateral
from market.commands import PlaceOrder
from market.events import Event, Trail
from market.orders import Side
from market.sla import COLLATERAL_BP
from market.tables import Table
from market.tiers import CODES_MAX, STANDARD_TIERS

BID: Final = Side.BID
SLA_DIMENSION: Final = 1


class OpenOrder(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """The money behind an order."""

    id: bytes
    account: bytes
    model: bytes
    side: Side
    price: int
    """0 for market orders."""
    lots: int
    sla_tier: int
    margin: int
    bond: int
    entered: int
    """Index of the commit."""

    def compute_need(self) -> int:
        """What the lots that are left may cost."""
        if self.side is BID:
            return self.price * self.lots
        return compute_collateral(self.price, self.lots, COLLATERAL_BP[self.sla_tier])


class OpenOrders:
    """All orders with money behind them. What reserves raises `Refused` before it changes more."""

    def __init__(
        self, ledger: Ledger, trail: Trail, describe: Callable[[OpenOrder], object]
    ) -> None:
        """`describe` answers what the root is to fix of an order."""
        self.rows: Final[Table[OpenOrder]] = Table(describe)
        self._rows: Final = self.rows.by_key
        self._note_change: Final = self.rows.note_change
        self._ledger: Final = ledger
        self._note: Final = trail.note
        self.counts: Final[dict[bytes, dict[bytes, int]]] = {}
        """How many there are, by account and model; to be read only."""

    def add(self, row: OpenOrder) -> None:
        """An order that its book has taken in."""
        order_id, model = row.id, row.model
        self._note_change(order_id)
        self._rows[order_id] = row
        models = self.counts.get(row.account)
        if models is None:
            self.counts[row.account] = {model: 1}
        else:
            models[model] = models.get(model, 0) + 1

    def close(self, row: OpenOrder, why: str, *, bond_burned: bool = False) -> None:
        """An order that its book has no more, or never had: what is left behind it comes back."""
        order_id, account, margin = row.id, row.account, row.margin
        if margin or row.bond:
            self.release(row, margin, row.bond, burn=bond_burned)
        if self._rows.pop(order_id, None) is not None:
            self._note_change(order_id)
            self._uncount(account, row.model)
        self._note(Event("order_closed", account, order_id, margin, why))

    def _uncount(self, account: bytes, model: bytes) -> None:
        models = self.counts[account]
        if models[model] > 1:
            models[model] -= 1
        elif len(models) > 1:
            del models[model]
        else:
            del self.counts[account]

    def reserve(self, row: OpenOrder, margin: int, bond: int = 0) -> None:
        """Set money aside. Raises `Refused`."""
        if row.side is BID:
            self._ledger.reserve(row.account, margin + bond)
        else:
            self._ledger.reserve(row.account, bond, margin)

    def release(self, row: OpenOrder, margin: int, bond: int = 0, *, burn: bool = False) -> None:
        """Let go of money; a bond may be burned instead."""
        burned = bond if burn else 0
        free = bond - burned
        if row.side is BID:
            self._ledger.release(row.account, free + margin, 0, burned)
        else:
            self._ledger.release(row.account, free, margin, burned)


def make_row(order_id: bytes, account: bytes, command: PlaceOrder, index: int) -> OpenOrder:
    """An order that comes, with the margin that it needs."""
    side, price, lots = command.side, command.price, command.lots
    sla_tier = _get_sla_tier(command.tiers)
    margin = command.budget if price is None else price * lots
    if side is not BID:
        margin = compute_collateral(margin, 1, COLLATERAL_BP[sla_tier])
    return OpenOrder(
        order_id,
        account,
        command.model,
        side,
        price or 0,
        lots,
        sla_tier,
        margin,
        ORDER_BOND_URUV,
        index,
    )


def compute_taken(offer: OpenOrder, price: int, lots: int) -> int:
    """The part of an offer's margin that goes with lots that were sold; they are off its lots."""
    collateral_bp = COLLATERAL_BP[offer.sla_tier]
    if offer.price:
        return offer.margin - compute_collateral(offer.price, offer.lots, collateral_bp)
    return min(compute_collateral(price, lots, collateral_bp), offer.margin)


def bytes_of(name: int | bytes) -> bytes:
    """Ids and owners in these books are bytes."""
    assert isinstance(name, bytes)
    return name


@lru_cache(CODES_MAX)
def _get_sla_tier(tiers: int) -> int:
    return STANDARD_TIERS.unpack(tiers)[SLA_DIMENSION]
