"""How many answers have to be checked."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.quality.sampling import compute_check_rate_bp

AMOUNTS = st.integers(1, 10**12)


@pytest.mark.parametrize(("power_bp", "rate_bp"), [(10_000, 477), (7_700, 619)])
def test_rate_is_that_of_the_worked_example(power_bp, rate_bp):
    # What is saved equals the price, and the stake is nineteen times as much.
    rate = compute_check_rate_bp(
        saved_uruv=1_000, stake_uruv=19_000, price_uruv=1_000, power_bp=power_bp
    )
    assert rate == rate_bp


@given(AMOUNTS, AMOUNTS, AMOUNTS, st.integers(1, 10_000))
def test_cheat_loses_at_the_rate_and_not_just_below_it(saved, stake, price, power):
    def gain(rate_bp: int) -> Fraction:
        found = Fraction(rate_bp * power, 10**8)
        return Fraction((1 - found) * saved - found * (stake + price))

    rate = compute_check_rate_bp(
        saved_uruv=saved, stake_uruv=stake, price_uruv=price, power_bp=power
    )
    assert gain(10_000 if rate is None else rate - 1) >= 0
    assert rate is None or gain(rate) < 0


def test_nothing_saved_needs_no_check_and_a_blind_check_never_suffices():
    options = {"stake_uruv": 1, "price_uruv": 1}
    assert compute_check_rate_bp(saved_uruv=0, power_bp=10_000, **options) == 0
    assert compute_check_rate_bp(saved_uruv=5, power_bp=0, **options) is None
