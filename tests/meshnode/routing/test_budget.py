"""Budgets for second attempts are never exceeded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.budget import HEDGES_MAX, RETRIES_MIN, WINDOW_MS, HedgeBudget, RetryBudget


def test_retries_have_a_floor():
    budget = RetryBudget()
    assert [budget.spend(0) for _ in range(4)] == [True, True, True, False]
    assert budget.spend(WINDOW_MS)


def test_retries_are_a_fifth_of_the_requests():
    budget = RetryBudget()
    for _ in range(100):
        budget.note_request(0)
    assert sum(budget.spend(0) for _ in range(50)) == 20


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2_000)), max_size=200))
def test_retries_never_exceed_their_budget_in_any_window(steps):
    budget = RetryBudget()
    requests: list[int] = []
    retries: list[int] = []
    now_ms = 0
    for is_request, passed_ms in steps:
        now_ms += passed_ms
        if is_request:
            budget.note_request(now_ms)
            requests.append(now_ms)
        elif budget.spend(now_ms):
            retries.append(now_ms)
        first = now_ms // 1_000 - WINDOW_MS // 1_000 + 1
        recent = sum(each // 1_000 >= first for each in requests)
        if not is_request and retries and retries[-1] == now_ms:
            spent = sum(each // 1_000 >= first for each in retries)
            assert spent <= max(RETRIES_MIN, recent // 5)


@given(st.lists(st.booleans(), max_size=600))
def test_hedges_are_at_most_a_twentieth_of_the_requests(steps):
    budget = HedgeBudget()
    requests = hedges = 0
    for is_request in steps:
        if is_request:
            budget.note_request()
            requests += 1
        else:
            hedges += budget.spend()
        assert hedges * 20 <= requests


def test_hedges_are_saved_up_within_bounds():
    budget = HedgeBudget()
    for _ in range(1_000):
        budget.note_request()
    assert sum(budget.spend() for _ in range(100)) == HEDGES_MAX
