"""Instruments: the grid of prices, and bounds that make sense."""

from __future__ import annotations

from typing import Any

import pytest

from market.instruments import PRICE_MAX_URUV, UNIT_TICKS, Instrument, InvalidInstrument


def test_prices_lie_on_a_grid_that_grows_coarser():
    instrument = Instrument(model_variant="kimi-k2-instruct/fp8")
    on_grid = (1, 999, 1_000, 1_010, 9_990, 10_000, 10_100, PRICE_MAX_URUV - PRICE_MAX_URUV % 100)
    assert all(instrument.has_price(price) for price in on_grid)
    off_grid = (0, -10, 1_001, 9_999, 10_010, PRICE_MAX_URUV - PRICE_MAX_URUV % 100 + 100)
    assert not any(instrument.has_price(price) for price in off_grid)


def test_grid_may_be_of_single_units():
    instrument = Instrument(model_variant="m", ticks=UNIT_TICKS)
    assert instrument.has_price(PRICE_MAX_URUV)
    assert instrument.has_price(10_001)
    assert not instrument.has_price(PRICE_MAX_URUV + 1)


@pytest.mark.parametrize(
    ("bounds", "match"),
    [
        ({"ticks": ()}, "begin with"),
        ({"ticks": ((2, 1),)}, "begin with"),
        ({"ticks": ((1, 2),)}, "begin with"),
        ({"ticks": ((1, 1), (10, 5), (5, 10))}, "rising"),
        ({"ticks": ((1, 1), (10, 5), (10, 10))}, "rising"),
        ({"ticks": ((1, 1), (10, 0))}, "multiple"),
        ({"ticks": ((1, 1), (10, 4), (100, 6))}, "multiple"),
        ({"fills_max": 0}, "1 or more"),
        ({"resting_max": 0}, "1 or more"),
        ({"order_life_max_ms": 0}, "1 or more"),
        ({"in_weight_bp": -1}, "-1 basis points"),
    ],
)
def test_instrument_is_refused_when_nobody_could_trade_it(bounds: dict[str, Any], match: str):
    with pytest.raises(InvalidInstrument, match=match):
        Instrument(model_variant="m", **bounds)
