"""Decimal numbers as people write them, read exactly into integers and written back.

No number passes through binary fractions on its way: `0.1` is a tenth here. What has more digits
than the unit can hold is refused, never rounded.
"""

from __future__ import annotations

import re
from typing import Final

from dag.errors import MeshError
from market.amounts import SUPPLY_MAX, URUV_PER_RUV

_DIGITS_MAX: Final = 40
"""Of one number, on both sides of its point."""
_NUMBER: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_AMOUNT: Final = re.compile(r"([0-9.]+)\s*(ruv|uruv)?", re.ASCII)
_SHOWN_MAX: Final = 24
_RUV_PLACES: Final = 6


class InvalidNumber(MeshError):
    """A text that stands for no number of this kind; the message says why."""

    code = "invalid_number"


def parse_scaled(text: str, places: int, what: str) -> int:
    """A decimal number times ten to the power of `places`. Raises `InvalidNumber`."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None or len(text) > _DIGITS_MAX:
        raise InvalidNumber(f"{what} is no decimal number: {_show(text)}", hint="write 0.25 or 12")
    whole, fraction = match.group(1), (match.group(2) or "").rstrip("0")
    if len(fraction) > places:
        raise InvalidNumber(
            f"{what} has {len(fraction)} decimals where {places} are exact: {_show(text)}",
            hint="nothing is rounded here; write fewer",
        )
    return int(whole + fraction.ljust(places, "0"))


def format_scaled(value: int, places: int) -> str:
    """The inverse of `parse_scaled`, without zeros at the end."""
    sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(places + 1, "0")
    whole, fraction = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def parse_ruv(text: str, what: str = "the amount") -> int:
    """Micro-ruv that a text stands for: `0.25`, `12.5ruv`, `300uruv`. Raises `InvalidNumber`."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise InvalidNumber(
            f"{what} is no amount: {_show(text)}", hint="write 0.25, 12.5ruv or 300uruv"
        )
    number, unit = match.groups()
    uruv = parse_scaled(number, 0 if unit == "uruv" else _RUV_PLACES, what)
    if uruv > SUPPLY_MAX:
        raise InvalidNumber(f"{what} is more than there can be: {_show(text)}")
    return uruv


def format_ruv(uruv: int) -> str:
    """Micro-ruv as an exact number of ruv."""
    return format_scaled(uruv, _RUV_PLACES)


def _show(text: str) -> str:
    return f"{text[:_SHOWN_MAX]!r}"


assert 10**_RUV_PLACES == URUV_PER_RUV
