"""Reputation: newcomers lowest, splitting never pays, faults weigh more than fees."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from market.amounts import SUPPLY_MAX
from market.reputation import (
    EPOCH_MS,
    PRIOR_URUV,
    STAKE_HALF_URUV,
    Reputation,
    Standing,
    compute_effective_score,
    compute_fault,
    compute_score,
    decay,
    find_tier,
)

A, B = bytes(32), bytes([1]) * 32
fees = st.integers(0, 2**45)
RICH = 10**15


def test_newcomer_has_no_reputation():
    assert Reputation().compute(A, RICH, EPOCH_MS) == 0
    assert Reputation().look_up(A, 3 * EPOCH_MS) == Standing(epoch=3)
    assert find_tier(0) == 0


def test_burned_fees_of_the_prior_make_half_a_reputation():
    assert compute_score(PRIOR_URUV, 0) == 5_000
    assert compute_score(9 * PRIOR_URUV, 0) == 9_000
    assert [find_tier(score) for score in (1_999, 2_000, 5_000, 7_000, 9_000)] == [0, 1, 2, 3, 4]


def test_score_counts_as_far_as_the_stake_bears_it():
    assert compute_effective_score(9_000, 0) == 0
    assert compute_effective_score(9_000, STAKE_HALF_URUV) == 5_000
    assert compute_effective_score(4_000, STAKE_HALF_URUV) == 4_000


def test_amount_halves_in_about_44_epochs_and_ends_decaying():
    assert 490_000 < decay(1_000_000, 44) < 510_000
    assert decay(63, 10**9) == decay(decay(2**62, 10**9), 10**9) == 63


@given(fees, st.integers(0, 50), st.integers(0, 50))
def test_decay_is_the_same_at_once_and_in_steps(amount: int, first: int, second: int):
    assert decay(decay(amount, first), second) == decay(amount, first + second)


@given(st.lists(fees, max_size=6))
def test_many_buyers_earn_what_one_earns(parts: list[int]):
    split, whole = Reputation(), Reputation()
    for part in parts:
        split.credit(A, part, 0)
    whole.credit(A, sum(parts), 0)
    assert split.compute(A, RICH, 0) == whole.compute(A, RICH, 0)


@given(fees, fees, st.integers(0, 2**50), st.integers(0, 2**50))
def test_splitting_a_provider_never_raises_its_score(first: int, second: int, one: int, two: int):
    whole = compute_effective_score(compute_score(first + second, 0), one + two)
    for good, stake in ((first, one), (second, two)):
        assert compute_effective_score(compute_score(good, 0), stake) <= whole


@given(fees, fees, st.integers(0, 2**50))
def test_new_identity_is_never_better_than_the_old_one(good: int, bad: int, stake: int):
    reputation = Reputation()
    reputation.credit(A, good, 0)
    reputation.debit(A, bad, 64, 0)
    assert reputation.compute(B, stake, 0) == 0 <= reputation.compute(A, stake, 0)


def test_fault_weighs_a_multiple_of_the_burned_fee():
    assert compute_fault(1_000_000, 8) == 8 * 2_500
    reputation = Reputation()
    reputation.credit(A, PRIOR_URUV, 0)
    before = reputation.compute(A, RICH, 0)
    reputation.debit(A, 10**9, 64, 0)
    assert reputation.compute(A, RICH, 0) < before


def test_standing_decays_with_epochs_and_has_an_end():
    reputation = Reputation()
    for _ in range(2):
        reputation.credit(A, SUPPLY_MAX, 0)
        reputation.debit(A, SUPPLY_MAX, 64, 0)
    row = reputation.standings.get(A)
    assert row is not None
    assert (row.good, row.bad) == (SUPPLY_MAX, 2 * compute_fault(SUPPLY_MAX, 64))
    reputation.credit(A, 0, 3 * EPOCH_MS)
    assert row.epoch == 3
    assert row.good == decay(SUPPLY_MAX, 3)


@given(fees, fees, st.integers(0, 2**50), st.integers(0, 50))
def test_reputation_is_that_of_the_standing_as_it_counts_now(
    good: int, bad: int, stake: int, epochs: int
):
    reputation, time_ms = Reputation(), epochs * EPOCH_MS
    reputation.credit(A, good, 0)
    reputation.debit(A, bad, 8, 0)
    now = reputation.look_up(A, time_ms)
    score = compute_effective_score(compute_score(now.good, now.bad), stake)
    assert reputation.compute(A, stake, time_ms) == score
