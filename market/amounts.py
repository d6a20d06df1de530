"""Money as integers of micro-ruv, and every formula that rounds.

Each division says which way it rounds and in whose favour: what somebody owes is rounded up, what
is taken away as a fee or a penalty is rounded down. Sums of parts always equal the whole.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from market.errors import Code, Refused

URUV_PER_RUV: Final = 1_000_000
SUPPLY_MAX: Final = 2**62
"""All money that can ever be: any sum of balances fits a signed 64-bit integer."""
BASIS_POINTS: Final = 10_000
LOT_TOKENS: Final = 1_000
"""Billed tokens of one lot."""
FEE_BP: Final = 50
"""Of what a provider earns."""
ORDER_BOND_URUV: Final = 100
NOTIONAL_MIN_URUV: Final = 1_000
DISPUTE_BOND_MIN_URUV: Final = 1_000
DISPUTE_BOND_DIVISOR: Final = 10


class Fee(NamedTuple):
    """A fee and where its halves go."""

    burned_uruv: int
    pooled_uruv: int

    @property
    def total_uruv(self) -> int:
        """What the provider does without."""
        return self.burned_uruv + self.pooled_uruv


def divide_up(numerator: int, denominator: int) -> int:
    """A quotient of integers, rounded up."""
    return -(-numerator // denominator)


def take_share(amount_uruv: int, share_bp: int) -> int:
    """So many basis points of an amount, rounded down."""
    return amount_uruv * share_bp // BASIS_POINTS


def compute_collateral(price_uruv: int, lots: int, collateral_bp: int) -> int:
    """What a provider puts up for lots at a price, rounded up."""
    return -(-price_uruv * lots * collateral_bp // BASIS_POINTS)


def compute_cost(price_uruv: int, billed_tokens: int) -> int:
    """What delivered tokens cost at a price per lot, rounded up."""
    return divide_up(price_uruv * billed_tokens, LOT_TOKENS)


def compute_billed_tokens(tokens_in: int, tokens_out: int, in_weight_bp: int) -> int:
    """Tokens that count: all that came out, and those that went in by their weight, rounded up."""
    return tokens_out + divide_up(tokens_in * in_weight_bp, BASIS_POINTS)


def compute_fee(cost_uruv: int) -> Fee:
    """The fee on a cost, half burned and half pooled; an odd micro-ruv is burned."""
    total = take_share(cost_uruv, FEE_BP)
    pooled = total // 2
    return Fee(total - pooled, pooled)


def compute_dispute_bond(notional_uruv: int) -> int:
    """What whoever disputes puts up."""
    return max(DISPUTE_BOND_MIN_URUV, notional_uruv // DISPUTE_BOND_DIVISOR)


def check_amount(amount_uruv: int, what: str = "the amount") -> None:
    """Raises `Refused` for an amount that nobody can have."""
    if not 1 <= amount_uruv <= SUPPLY_MAX:
        raise Refused(Code.OUT_OF_RANGE, f"{what} is {amount_uruv} uruv, not 1 to {SUPPLY_MAX}")


def split_pro_rata(amount_uruv: int, weights: list[int], caps: list[int]) -> list[int]:
    """Shares of an amount by weight, rounded down, each at most its cap; the rest stays undivided."""
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    return [
        min(amount_uruv * weight // total, cap) for weight, cap in zip(weights, caps, strict=True)
    ]
