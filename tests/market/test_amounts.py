"""Formulas that round: always to the side they say, and parts that sum to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.amounts import (
    SUPPLY_MAX,
    check_amount,
    compute_billed_tokens,
    compute_collateral,
    compute_cost,
    compute_dispute_bond,
    compute_fee,
    divide_up,
    split_pro_rata,
    take_share,
)
from market.errors import Code, Refused

amounts = st.integers(0, 2**60)


@given(amounts, st.integers(1, 2**40))
def test_division_is_rounded_up(numerator: int, denominator: int):
    quotient = divide_up(numerator, denominator)
    assert 0 <= quotient * denominator - numerator < denominator


@given(amounts, st.integers(0, 10_000))
def test_share_never_exceeds_the_whole(amount: int, share_bp: int):
    assert 0 <= take_share(amount, share_bp) <= amount


def test_costs_and_collateral_are_rounded_up():
    assert compute_cost(1_001, 1) == 2
    assert compute_cost(1_000, 1_000) == 1_000
    assert compute_collateral(3, 1, 2_000) == 1
    assert compute_collateral(1_000, 10, 20_000) == 20_000


def test_tokens_that_went_in_count_by_their_weight():
    assert compute_billed_tokens(3, 10, 2_500) == 11
    assert compute_billed_tokens(4, 10, 2_500) == 11
    assert compute_billed_tokens(4, 10, 0) == 10


@given(amounts)
def test_fee_is_half_burned_and_half_pooled(cost: int):
    fee = compute_fee(cost)
    assert fee.total_uruv == cost * 50 // 10_000
    assert 0 <= fee.burned_uruv - fee.pooled_uruv <= 1


def test_dispute_bond_is_a_tenth_and_has_a_least():
    assert compute_dispute_bond(1) == 1_000
    assert compute_dispute_bond(50_000) == 5_000


@pytest.mark.parametrize("amount", [-1, 0, SUPPLY_MAX + 1])
def test_amount_is_refused_when_nobody_can_have_it(amount: int):
    with pytest.raises(Refused) as caught:
        check_amount(amount)
    assert caught.value.reason is Code.OUT_OF_RANGE


@given(amounts, st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), max_size=6))
def test_pro_rata_shares_never_exceed_the_amount_or_a_cap(amount: int, rows: list):
    weights, caps = [row[0] for row in rows], [row[1] for row in rows]
    shares = split_pro_rata(amount, weights, caps)
    assert sum(shares) <= amount
    assert all(share <= cap for share, cap in zip(shares, caps, strict=True))
