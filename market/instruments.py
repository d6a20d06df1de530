"""What is traded: one model variant served by one class of backend, in lots of billed tokens.

Variants that differ in the precision of their weights are different instruments. Prices are whole
micro-ruv per lot on a grid that grows coarser with the price.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import msgspec

from dag.errors import MeshError
from market.tiers import STANDARD_TIERS, TierScheme

PRICE_MAX_URUV: Final = 1 << 40
LOTS_MAX: Final = 1 << 20
BUDGET_MAX_URUV: Final = PRICE_MAX_URUV * LOTS_MAX
"""No order can cost more."""
ORDER_LIFE_MAX_MS: Final = 24 * 3_600_000
FILLS_MAX: Final = 256
"""Resting orders that one message may touch."""
EPOCHS_MAX: Final = 1 << 16
RESTING_MAX: Final = 1 << 16
"""Orders that one book holds."""

STANDARD_TICKS: Final = ((1, 1), (1_000, 10), (10_000, 100))
"""From this price on, prices are multiples of that."""
UNIT_TICKS: Final = ((1, 1),)


class InvalidInstrument(MeshError):
    """An instrument nobody can trade; the message says what is wrong with it."""

    code = "invalid_instrument"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is traded, and the bounds of its orders."""

    model_variant: str
    """Model and precision of its weights, as `kimi-k2-instruct/fp8`."""
    backend_class: str = "own_weights"
    in_weight_bp: int = 2_500
    """What a token read counts, beside 10,000 for a token written."""
    tiers: TierScheme = STANDARD_TIERS
    ticks: tuple[tuple[int, int], ...] = STANDARD_TICKS
    order_life_max_ms: int = ORDER_LIFE_MAX_MS
    fills_max: int = FILLS_MAX
    resting_max: int = RESTING_MAX
    allows_self_trades: bool = False
    """Only for streams that were recorded with self-trades; never for accounts with money."""

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.ticks]
        steps = [step for _, step in self.ticks]
        if starts[:1] != [1] or starts != sorted(dict.fromkeys(starts)) or steps[0] != 1:
            raise InvalidInstrument("ticks begin with (1, 1) and go on at rising prices")
        if min(steps) < 1 or any(later % step for step, later in pairwise(steps)):
            raise InvalidInstrument("each tick must be a multiple of the one below it")
        if min(self.fills_max, self.resting_max, self.order_life_max_ms) < 1:
            raise InvalidInstrument("fills, resting orders and their life are bounded by 1 or more")
        if self.in_weight_bp < 0:
            raise InvalidInstrument(f"a token read cannot count {self.in_weight_bp} basis points")

    def has_price(self, price_uruv: int) -> bool:
        """Whether a price is within bounds and on the grid."""
        for start, step in reversed(self.ticks):
            if price_uruv >= start:
                return price_uruv <= PRICE_MAX_URUV and not price_uruv % step
        return False
