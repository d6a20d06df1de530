"""What makes an order unfit for an instrument, whatever the book holds."""

from __future__ import annotations

from typing import Final

from market.instruments import BUDGET_MAX_URUV, EPOCHS_MAX, LOTS_MAX, PRICE_MAX_URUV, Instrument
from market.orders import Code, NewOrder, Side, TimeInForce

GTD: Final = TimeInForce.GTD
IOC: Final = TimeInForce.IOC
FOK: Final = TimeInForce.FOK
MAY_EXPIRE: Final = (GTD, TimeInForce.POST_ONLY)
"""What may have an expiry of its own."""


def find_fault(new: NewOrder, instrument: Instrument, now_ms: int) -> Code | None:
    """Why an order cannot be taken at this time; None if it can."""
    price_uruv = new.price_uruv
    if price_uruv is None:
        code = _find_market_fault(new)
        if code is not None:
            return code
    elif new.budget_uruv:
        return Code.BAD_BUDGET
    elif not 1 <= new.lots <= LOTS_MAX or not instrument.has_price(price_uruv):
        return find_price_fault(price_uruv, new.lots, instrument)
    lifetime, expires_ms = new.time_in_force, new.expires_ms
    if not expires_ms:
        if lifetime is GTD:
            return Code.BAD_EXPIRY
    elif (
        not now_ms < expires_ms <= now_ms + instrument.order_life_max_ms
        or lifetime not in MAY_EXPIRE
    ):
        return Code.BAD_EXPIRY
    if new.epochs and not _may_have_rate(new):
        return Code.BAD_TERMS
    return None if new.tiers in instrument.tiers.known else Code.BAD_TIERS


def find_price_fault(price_uruv: int, lots: int, instrument: Instrument) -> Code | None:
    """Why lots cannot be ordered at this price; None if they can."""
    if not 1 <= lots <= LOTS_MAX:
        return Code.BAD_LOTS
    if instrument.has_price(price_uruv):
        return None
    return Code.OFF_TICK if 1 <= price_uruv <= PRICE_MAX_URUV else Code.BAD_PRICE


def _find_market_fault(new: NewOrder) -> Code | None:
    if not 1 <= new.lots <= LOTS_MAX:
        return Code.BAD_LOTS
    if new.time_in_force is not IOC and new.time_in_force is not FOK:
        return Code.BAD_TERMS
    return None if 1 <= new.budget_uruv <= BUDGET_MAX_URUV else Code.BAD_BUDGET


def _may_have_rate(new: NewOrder) -> bool:
    if new.side is not Side.OFFER or not 1 <= new.epochs <= EPOCHS_MAX:
        return False
    return new.time_in_force is not IOC and new.time_in_force is not FOK
