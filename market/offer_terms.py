"""An offer or a bid as people state it, and what it is to the book: exact, or refused.

People name a model, a price per token, a context length, a guarantee in percent. A book knows tiers,
lots of a thousand billed tokens, and whole micro-ruv per lot on a grid. A guarantee that lies between
two tiers counts as the lower one in an offer and as the higher one in a bid, so nobody gets less than
was promised; prices and amounts are never rounded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from dag.errors import MeshError
from market.amounts import (
    BASIS_POINTS,
    LOT_TOKENS,
    NOTIONAL_MIN_URUV,
    compute_collateral,
)
from market.decimals import InvalidNumber, format_ruv, format_scaled, parse_ruv, parse_scaled
from market.instruments import LOTS_MAX, PRICE_MAX_URUV, STANDARD_TICKS
from market.reputation import EPOCH_MS
from market.sla import COLLATERAL_BP
from market.tiers import CONTEXT, FIRST_TOKEN, REPUTATION, SLA, STANDARD_TIERS, InvalidTiers

PRICE_PER_TOKEN_PLACES: Final = 9
"""A ruv per token is 10^9 micro-ruv per lot."""
PRICE_PER_LOT_PLACES: Final = 6
_PERCENT_PLACES: Final = 2
_HOURS_MAX: Final = 24
"""No order lives longer."""

assert EPOCH_MS == 3_600_000, "people are told that epochs are hours"


class InvalidTerms(MeshError):
    """Terms that no order can state exactly; the message names them and the nearest that can."""

    code = "invalid_terms"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What a bid asks of whoever serves it; what is None does not matter."""

    context_tokens: int | None = None
    sla_percent: str | None = None
    first_token_ms: int | None = None
    reputation_bp: int | None = None
    flags: tuple[str, ...] = ()


class OfferTerms(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as people state it."""

    model_variant: str
    price_per_token: str
    """Ruv, as a decimal number."""
    context_limit: int
    """Tokens."""
    tokens: int
    """Billed tokens on offer; in an offer that renews itself, those of each hour."""
    sla_guarantee: str = "0"
    """Percent of probes that are answered in time: 99.9."""
    first_token_ms: int | None = None
    """How long the first token takes at most; None for within a day."""
    flags: tuple[str, ...] = ()
    renew_hours: int = 0
    """In how many hours unsold tokens lapse and all are shown anew; 0 for an offer that is spent."""


class ConvertedOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer as the book takes it, and what it promises."""

    price_uruv: int
    """Per lot."""
    lots: int
    tiers: int
    epochs: int
    context_tokens: int
    sla_bp: int
    first_token_ms: int
    flags: tuple[str, ...]
    collateral_uruv: int
    """Stake that stands behind it while it rests."""

    @property
    def notional_uruv(self) -> int:
        """What it earns, before the fee, when all of it is sold."""
        return self.price_uruv * self.lots


def convert_offer(terms: OfferTerms) -> ConvertedOffer:
    """The exact form of an offer. Raises `InvalidTerms`."""
    price_uruv = parse_price_per_token(terms.price_per_token)
    lots = count_lots(terms.tokens)
    check_notional(price_uruv, lots)
    if not 0 <= terms.renew_hours <= _HOURS_MAX:
        raise InvalidTerms(f"renew_hours is {terms.renew_hours} where 0 to {_HOURS_MAX} can be")
    values = {CONTEXT.name: terms.context_limit, SLA.name: parse_guarantee(terms.sla_guarantee)}
    if terms.first_token_ms is not None:
        values[FIRST_TOKEN.name] = terms.first_token_ms
    tiers = _encode(values, terms.flags, is_offer=True)
    context, sla, first_token, *_ = STANDARD_TIERS.unpack(tiers)
    return ConvertedOffer(
        price_uruv=price_uruv,
        lots=lots,
        tiers=tiers,
        epochs=terms.renew_hours,
        context_tokens=CONTEXT.promises[context],
        sla_bp=SLA.promises[sla],
        first_token_ms=FIRST_TOKEN.promises[first_token],
        flags=terms.flags,
        collateral_uruv=compute_collateral(price_uruv, lots, COLLATERAL_BP[sla]),
    )


def convert_wishes(wishes: Wishes) -> int:
    """The least combination of tiers that gives all a bid asks for. Raises `InvalidTerms`."""
    values = {
        name: value
        for name, value in (
            (CONTEXT.name, wishes.context_tokens),
            (FIRST_TOKEN.name, wishes.first_token_ms),
            (REPUTATION.name, wishes.reputation_bp),
        )
        if value is not None
    }
    if wishes.sla_percent is not None:
        values[SLA.name] = parse_guarantee(wishes.sla_percent)
    return _encode(values, wishes.flags, is_offer=False)


def describe_tiers(tiers: int) -> dict[str, int]:
    """What each tier of a combination promises, by the name of its dimension; flags are 0 or 1."""
    parts = STANDARD_TIERS.unpack(tiers)
    named = {
        dimension.name: dimension.promises[tier]
        for dimension, tier in zip(STANDARD_TIERS.dimensions, parts, strict=False)
    }
    return named | dict(
        zip(STANDARD_TIERS.flags, parts[len(STANDARD_TIERS.dimensions) :], strict=True)
    )


# --- prices --------------------------------------------------------------------------------------


def parse_price_per_token(text: str, what: str = "price_per_token") -> int:
    """Micro-ruv per lot of a price in ruv per token. Raises `InvalidTerms`."""
    return _check_price(_parse(text, PRICE_PER_TOKEN_PLACES, what), what, PRICE_PER_TOKEN_PLACES)


def parse_price_per_lot(text: str, what: str = "the price") -> int:
    """Micro-ruv per lot of a price in ruv per 1,000 tokens, or in `uruv`. Raises `InvalidTerms`."""
    try:
        price_uruv = parse_ruv(text, what)
    except InvalidNumber as error:
        raise InvalidTerms(error.message, hint=error.hint) from None
    return _check_price(price_uruv, what, PRICE_PER_LOT_PLACES)


def format_price_per_lot(price_uruv: int) -> str:
    """A price as ruv per 1,000 tokens."""
    return format_ruv(price_uruv)


def format_price_per_token(price_uruv: int) -> str:
    """A price as ruv per token."""
    return format_scaled(price_uruv, PRICE_PER_TOKEN_PLACES)


def _check_price(price_uruv: int, what: str, places: int) -> int:
    """A price that is within bounds and on the grid; where it is not, its neighbours are told."""
    if not 1 <= price_uruv <= PRICE_MAX_URUV:
        least, most = (format_scaled(bound, places) for bound in (1, PRICE_MAX_URUV))
        raise InvalidTerms(f"{what} is {format_scaled(price_uruv, places)}, not {least} to {most}")
    tick = max(step for start, step in STANDARD_TICKS if start <= price_uruv)
    below = price_uruv // tick * tick
    if below != price_uruv:
        near = [each for each in (below, below + tick) if each <= PRICE_MAX_URUV]
        raise InvalidTerms(
            f"{what} {format_scaled(price_uruv, places)} lies between two steps of the price grid",
            hint=f"try {' or '.join(format_scaled(each, places) for each in near)}",
        )
    return price_uruv


# --- quantities and promises -----------------------------------------------------------------------


def count_lots(tokens: int, what: str = "tokens") -> int:
    """Lots that a number of billed tokens makes. Raises `InvalidTerms`."""
    lots, rest = divmod(tokens, LOT_TOKENS)
    if rest:
        raise InvalidTerms(
            f"{what} {tokens} is no multiple of {LOT_TOKENS}",
            hint=f"lots are {LOT_TOKENS} tokens: write {max(1, lots) * LOT_TOKENS}",
        )
    if not 1 <= lots <= LOTS_MAX:
        raise InvalidTerms(f"{what} is {tokens}, not {LOT_TOKENS} to {LOTS_MAX * LOT_TOKENS}")
    return lots


def check_notional(price_uruv: int, lots: int) -> None:
    """Raises `InvalidTerms` for an order too small to be worth anybody's work."""
    if price_uruv * lots < NOTIONAL_MIN_URUV:
        raise InvalidTerms(
            f"the order is worth {format_ruv(price_uruv * lots)} ruv, less than "
            f"{format_ruv(NOTIONAL_MIN_URUV)}",
            hint="make it larger",
        )


def parse_guarantee(text: str, what: str = "sla_guarantee") -> int:
    """Basis points of a guarantee in percent: `99.9` or `99.9%`. Raises `InvalidTerms`."""
    points = _parse(text.strip().removesuffix("%").rstrip(), _PERCENT_PLACES, what)
    if points > BASIS_POINTS:
        raise InvalidTerms(f"{what} is {text!r}, more than 100 percent")
    if 0 < points <= 100 and "%" not in text:
        raise InvalidTerms(
            f"{what} is {text!r}: it is in percent, and this looks like a fraction",
            hint="write 99.9 for nine hundred ninety-nine of a thousand",
        )
    return points


def _encode(values: dict[str, int], flags: tuple[str, ...], *, is_offer: bool) -> int:
    encode = STANDARD_TIERS.encode_offer if is_offer else STANDARD_TIERS.encode_bid
    try:
        return encode(values, flags)
    except InvalidTiers as error:
        raise InvalidTerms(error.message, hint=error.hint) from None


def _parse(text: str, places: int, what: str) -> int:
    try:
        return parse_scaled(text, places, what)
    except InvalidNumber as error:
        raise InvalidTerms(error.message, hint=error.hint) from None
