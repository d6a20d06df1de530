"""How instruments of the market and models of engines go by the same names.

An instrument's variant names the model and the precision of its weights, as in `kimi-k2/fp8`; an
engine may call it by the whole name or by the model alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshnode.routing.query import AUTO_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

ID_CHARACTERS_MIN: Final = 8
"""Of the beginning of an instrument's id that names it."""


def find_engine_model(variant: str, served: Sequence[str]) -> str | None:
    """The engine's name of the model that an instrument stands for; None if it has none."""
    for name in (variant, get_model_name(variant)):
        if name in served:
            return name
    return None


def get_model_name(variant: str) -> str:
    """The model without its precision."""
    return variant.rpartition("/")[0] or variant


def is_meant(text: str, variant: str, instrument: bytes) -> bool:
    """Whether a person who writes this means this instrument."""
    if text in (AUTO_MODEL, variant, get_model_name(variant)):
        return True
    return len(text) >= ID_CHARACTERS_MIN and instrument.hex().startswith(text.lower())
