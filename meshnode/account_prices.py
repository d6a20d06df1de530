"""What the models of an account cost: the provider's list, or what its own listing says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from meshnode.engines.pricing import MOONSHOT_PRICES, Price, find_price, read_cost_udollar

if TYPE_CHECKING:
    from meshnode.engines.base import ModelInfo

PriceFinder = Callable[[str], Price | None]
_FREE: Final = Price(prompt=0, completion=0)


def read_listed_price(model: ModelInfo) -> Price | None:
    """The price in a model's listing, as OpenRouter gives it: dollars for one token, as texts."""
    pricing = model.extra.get("pricing")
    if not isinstance(pricing, dict):
        return None
    prompt, completion, cached = (
        _scale(pricing.get(name)) for name in ("prompt", "completion", "input_cache_read")
    )
    if prompt is None or completion is None:
        return None
    return Price(prompt=prompt, completion=completion, cached=cached)


def make_price_finder(provider: str, region: str, models: Sequence[ModelInfo] = ()) -> PriceFinder:
    """Finds prices of a provider's models. The platform in China bills in yuan: it has none here."""
    if provider == "local":
        return lambda _: _FREE
    listed = {model.id: price for model in models if (price := read_listed_price(model))}
    has_list = provider == "moonshot" and region == "international"
    prices = MOONSHOT_PRICES if has_list else {}

    def find(model: str) -> Price | None:
        return listed.get(model) or find_price(prices, model)

    return find


def _scale(per_token: object) -> int | None:
    """Micro-dollars for a million tokens, of dollars for one."""
    if not isinstance(per_token, str | float | int):
        return None
    try:
        scaled = str(Decimal(str(per_token)) * 1_000_000)
    except InvalidOperation:
        return None
    return read_cost_udollar({"cost": scaled})
