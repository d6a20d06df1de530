"""What tokens cost: price lists in whole micro-dollars, dated, and the bill they make.

A list price of 0.95 dollars for a million tokens is `950_000` here. Prices are settings: the lists
below are where they start, and each carries the day it was read. What a provider itself says a
request cost always wins over a list.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshnode.engines.model_names import normalise_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshnode.engines.usage import TokenUsage

MTOK = 1_000_000
COST_UDOLLAR_MAX = 10**12
"""A million dollars for one request: what is beyond it is a mistake, not a bill."""

UdollarPerMtok = Annotated[int, msgspec.Meta(ge=0, le=10**10)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Micro-dollars for a million tokens of each kind."""

    prompt: UdollarPerMtok
    completion: UdollarPerMtok
    cached: UdollarPerMtok | None = None
    """For prompt tokens found in a cache; None bills them as any other."""


MOONSHOT_PRICES_AS_OF = "2026-11-21"
MOONSHOT_PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "kimi-k2.5": Price(prompt=600_000, cached=100_000, completion=3_000_000),
        "kimi-k2.6": Price(prompt=950_000, cached=160_000, completion=4_000_000),
        "kimi-k2.7-code": Price(prompt=950_000, cached=190_000, completion=4_000_000),
        "kimi-k2.7-code-highspeed": Price(prompt=1_900_000, cached=380_000, completion=8_000_000),
        "kimi-k3": Price(prompt=3_000_000, cached=300_000, completion=15_000_000),
    }
)
"""The international platform's, in dollars. The platform in China bills in yuan: no list here."""


def find_price(prices: Mapping[str, Price], model: str) -> Price | None:
    """The price of the longest listed beginning of a model's name; None where none fits.

    A name goes on after a dash: `kimi-k3` prices `kimi-k3-0716`, and not `kimi-k3.1`.
    """
    name = normalise_model(model) + "-"
    fitting = [start for start in prices if name.startswith(normalise_model(start) + "-")]
    return prices[max(fitting, key=len)] if fitting else None


def compute_cost_udollar(usage: TokenUsage, price: Price) -> int:
    """The bill for a request, rounded up to a whole micro-dollar."""
    cached_price = price.prompt if price.cached is None else price.cached
    total = (
        (usage.prompt - usage.cached) * price.prompt
        + usage.cached * cached_price
        + usage.completion * price.completion
    )
    return -(-total // MTOK)


def read_cost_udollar(usage: object) -> int | None:
    """What a provider says a request cost, in its usage object's `cost`, in dollars."""
    cost = usage.get("cost") if isinstance(usage, dict) else None
    if isinstance(cost, bool) or not isinstance(cost, int | float | str):
        return None
    try:
        udollar = Decimal(str(cost)) * MTOK
    except InvalidOperation:
        return None
    if not udollar.is_finite() or not 0 <= udollar <= COST_UDOLLAR_MAX:
        return None
    return int(udollar.to_integral_value(rounding="ROUND_CEILING"))
