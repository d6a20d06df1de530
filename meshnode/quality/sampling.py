"""How many answers have to be checked so that cheating does not pay."""

from __future__ import annotations

from market.amounts import BASIS_POINTS


def compute_check_rate_bp(
    *, saved_uruv: int, stake_uruv: int, price_uruv: int, power_bp: int
) -> int | None:
    """The least share of checked answers at which a cheat loses; None where not even all suffice.

    Who cheats saves `saved_uruv` on an answer. Checked and found, which happens with `power_bp`, it
    loses its stake and the price; unchecked or not found, it keeps what it saved. So it loses on
    average if `p * b * (S + P) > (1 - p * b) * c`, which is `p > c / ((S + P + c) * b)`.
    """
    if saved_uruv <= 0:
        return 0
    stakes = (stake_uruv + price_uruv + saved_uruv) * power_bp
    if not stakes:
        return None
    rate_bp = saved_uruv * BASIS_POINTS * BASIS_POINTS // stakes + 1
    return rate_bp if rate_bp <= BASIS_POINTS else None
