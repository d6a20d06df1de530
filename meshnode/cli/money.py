"""Amounts, prices and shares as people type and read them; programs get integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dag.errors import MeshError
from market.amounts import LOT_TOKENS
from market.decimals import InvalidNumber, format_ruv, format_scaled, parse_ruv, parse_scaled
from market.offer_terms import InvalidTerms, count_lots, parse_guarantee, parse_price_per_lot
from meshnode.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_BP_PLACES = 2
_MS_PLACES = 3


def read_ruv(text: str, what: str) -> int:
    """Micro-ruv of an amount: `0.25`, `12.5ruv`, `300uruv`. Raises `ConfigError`, also for none."""
    uruv = _read(lambda: parse_ruv(text, what))
    if not uruv:
        raise ConfigError(f"{what} is nothing", hint="write 0.25, 12.5ruv or 300uruv")
    return uruv


def read_price(text: str, what: str) -> int:
    """Micro-ruv per lot of a price in ruv per 1,000 tokens. Raises `ConfigError`."""
    return _read(lambda: parse_price_per_lot(text, what))


def read_lots(tokens: int, what: str) -> int:
    """Lots of so many tokens. Raises `ConfigError`."""
    return _read(lambda: count_lots(tokens, what))


def read_guarantee(text: str, what: str) -> int:
    """Basis points of a guarantee in percent. Raises `ConfigError`."""
    return _read(lambda: parse_guarantee(text, what))


def read_percent(text: str, what: str) -> int:
    """Basis points of a percentage, with or without its sign. Raises `ConfigError`."""
    number = text.strip().removesuffix("%").rstrip()
    points = _read(lambda: parse_scaled(number, _BP_PLACES, what))
    if points > 100 * 10**_BP_PLACES:
        raise ConfigError(f"{what} is more than 100 percent", hint="write 0 to 100")
    return points


def read_seconds(text: str, what: str) -> int:
    """Milliseconds of a number of seconds. Raises `ConfigError`."""
    return _read(lambda: parse_scaled(text, _MS_PLACES, what))


def format_amount(uruv: int) -> str:
    """An exact amount with its unit."""
    return f"{format_ruv(uruv)} ruv"


def format_price(uruv: int | None) -> str:
    """A price in ruv per 1,000 tokens; '-' where there is none."""
    return "-" if uruv is None else format_ruv(uruv)


def format_tokens(lots: int) -> str:
    """Billed tokens of so many lots."""
    return f"{lots * LOT_TOKENS:,}"


def format_percent(points_bp: int) -> str:
    """A share of basis points: '99.9 %'."""
    return f"{format_scaled(points_bp, _BP_PLACES)} %"


def _read(parse: Callable[[], int]) -> int:
    try:
        return parse()
    except (InvalidNumber, InvalidTerms) as error:
        raise to_usage_error(error) from None


def to_usage_error(error: MeshError) -> ConfigError:
    """What a person typed cannot be meant: the program's own kind of error for that."""
    return ConfigError(error.message, hint=error.hint)
