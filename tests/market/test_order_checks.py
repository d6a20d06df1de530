"""Orders that are refused whatever the book holds, each with its code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from market.instruments import BUDGET_MAX_URUV, LOTS_MAX, PRICE_MAX_URUV, Instrument
from market.order_checks import find_fault, find_price_fault
from market.orders import Code, NewOrder, Side, TimeInForce

NOW_MS = 1_000
INSTRUMENT = Instrument(model_variant="m", order_life_max_ms=100)
LIMIT = NewOrder(1, 7, Side.OFFER, 990, 5)
MARKET = NewOrder(
    1, 7, Side.BID, None, 5, time_in_force=TimeInForce.IOC, budget_uruv=BUDGET_MAX_URUV
)
GTD, IOC, FOK, POST_ONLY = (TimeInForce(name) for name in ("gtd", "ioc", "fok", "post_only"))


def fault(order: NewOrder, **changes: Any) -> Code | None:
    return find_fault(msgspec.structs.replace(order, **changes), INSTRUMENT, NOW_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lots": LOTS_MAX},
        {"price_uruv": PRICE_MAX_URUV - PRICE_MAX_URUV % 100},
        {"time_in_force": GTD, "expires_ms": NOW_MS + 1},
        {"time_in_force": GTD, "expires_ms": NOW_MS + 100},
        {"time_in_force": POST_ONLY, "expires_ms": NOW_MS + 1},
        {"time_in_force": POST_ONLY},
        {"time_in_force": IOC},
        {"time_in_force": FOK},
        {"epochs": 3},
        {"tiers": 1},
    ],
)
def test_limit_order_is_taken(changes: dict[str, Any]):
    assert fault(LIMIT, **changes) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lots": 0}, Code.BAD_LOTS),
        ({"lots": -1}, Code.BAD_LOTS),
        ({"lots": LOTS_MAX + 1}, Code.BAD_LOTS),
        ({"price_uruv": 0}, Code.BAD_PRICE),
        ({"price_uruv": -5}, Code.BAD_PRICE),
        ({"price_uruv": PRICE_MAX_URUV + 1}, Code.BAD_PRICE),
        ({"price_uruv": 1_001}, Code.OFF_TICK),
        ({"budget_uruv": 1}, Code.BAD_BUDGET),
        ({"time_in_force": GTD}, Code.BAD_EXPIRY),
        ({"time_in_force": GTD, "expires_ms": NOW_MS}, Code.BAD_EXPIRY),
        ({"time_in_force": GTD, "expires_ms": NOW_MS + 101}, Code.BAD_EXPIRY),
        ({"time_in_force": GTD, "expires_ms": -1}, Code.BAD_EXPIRY),
        ({"expires_ms": NOW_MS + 1}, Code.BAD_EXPIRY),
        ({"time_in_force": IOC, "expires_ms": NOW_MS + 1}, Code.BAD_EXPIRY),
        ({"time_in_force": FOK, "expires_ms": NOW_MS + 1}, Code.BAD_EXPIRY),
        ({"epochs": -1}, Code.BAD_TERMS),
        ({"epochs": 1 << 20}, Code.BAD_TERMS),
        ({"epochs": 1, "side": Side.BID}, Code.BAD_TERMS),
        ({"epochs": 1, "time_in_force": IOC}, Code.BAD_TERMS),
        ({"epochs": 1, "time_in_force": FOK}, Code.BAD_TERMS),
        ({"tiers": -1}, Code.BAD_TIERS),
        ({"tiers": 1 << 64}, Code.BAD_TIERS),
    ],
)
def test_limit_order_is_refused(changes: dict[str, Any], code: Code):
    assert fault(LIMIT, **changes) is code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"time_in_force": FOK, "budget_uruv": 1}, None),
        ({"lots": 0}, Code.BAD_LOTS),
        ({"lots": LOTS_MAX + 1}, Code.BAD_LOTS),
        ({"time_in_force": TimeInForce.GTC}, Code.BAD_TERMS),
        ({"time_in_force": POST_ONLY}, Code.BAD_TERMS),
        ({"budget_uruv": 0}, Code.BAD_BUDGET),
        ({"budget_uruv": BUDGET_MAX_URUV + 1}, Code.BAD_BUDGET),
        ({"epochs": 1}, Code.BAD_TERMS),
    ],
)
def test_market_order_has_a_budget_and_never_rests(changes: dict[str, Any], code: Code | None):
    assert fault(MARKET, **changes) is code


def test_price_and_lots_are_checked_alike_for_a_replacement():
    assert find_price_fault(990, 1, INSTRUMENT) is None
    assert find_price_fault(1_005, 1, INSTRUMENT) is Code.OFF_TICK
    assert find_price_fault(990, 0, INSTRUMENT) is Code.BAD_LOTS
