"""What measurements of economies have in common: money for people, and bounds of its amounts."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from market.amounts import URUV_PER_RUV

Percent = Annotated[int, Field(ge=0, le=100)]
Ruv = Annotated[int, Field(ge=1, le=1_000_000_000)]
Count = Annotated[int, Field(ge=1, le=1_000)]

DIGITS: Final = 6


class EconomyParameters(BaseModel):
    """What every measurement of an economy is told; values are checked, never converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def to_ruv(uruv: float) -> float:
    """Micro-ruv in ruv."""
    return round(uruv / URUV_PER_RUV, DIGITS)
