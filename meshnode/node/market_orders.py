"""From what people ask for to an order as the market takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from market.commands import PlaceOrder
from market.orders import Side, TimeInForce
from market.tiers import STANDARD_TIERS, InvalidTiers
from meshnode.errors import CommandRejected
from meshnode.node.market_lookup import read_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def make_order(
    model: bytes,
    side: Side,
    *,
    price_uruv: int | None,
    lots: int,
    attributes: Mapping[str, int | None],
    flags: Sequence[str],
    time_in_force: str,
    expires_in_ms: int | None,
    now_ms: int,
    budget_uruv: int = 0,
    epochs: int = 0,
) -> PlaceOrder:
    """An order with these terms. Raises `CommandRejected` for what no order can say."""
    lifetime = _read_lifetime(time_in_force)
    expires_ms = 0
    if expires_in_ms is not None:
        if expires_in_ms < 1:
            raise CommandRejected("an order cannot expire before it is placed")
        expires_ms = now_ms + expires_in_ms
        if lifetime is TimeInForce.GTC:
            lifetime = TimeInForce.GTD
    return PlaceOrder(
        model,
        side,
        price_uruv,
        lots,
        _encode_attributes(side, attributes, flags),
        lifetime,
        expires_ms,
        budget_uruv,
        epochs,
    )


def read_digest(text: str, name: str) -> bytes:
    """A SHA-256 in hex. Raises `CommandRejected`."""
    digest = read_id(text)
    if digest is None:
        raise CommandRejected(
            f"{name} is no SHA-256 in hex: '{text[:80]}'", hint="it has 64 hex digits"
        )
    return digest


def _encode_attributes(
    side: Side, attributes: Mapping[str, int | None], flags: Sequence[str]
) -> int:
    named = {name: value for name, value in attributes.items() if value is not None}
    try:
        if side is Side.BID:
            return STANDARD_TIERS.encode_bid(named, flags)
        return STANDARD_TIERS.encode_offer(named, flags)
    except InvalidTiers as error:
        raise CommandRejected(error.message, hint=error.hint) from None


def _read_lifetime(text: str) -> TimeInForce:
    try:
        return TimeInForce(text)
    except ValueError:
        known = ", ".join(each.value for each in TimeInForce)
        raise CommandRejected(
            f"'{text}' is no lifetime of an order", hint=f"one of {known}"
        ) from None
