"""When another attempt is made, and how many may be."""

from __future__ import annotations

from random import Random

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.retrying import RetryBudget, plan_wait_ms


def wait(fault, attempt=1, retry_after_ms=None, seed=0):
    error = EngineError(EngineFault(fault), "x", retry_after_ms=retry_after_ms)
    return plan_wait_ms(error, attempt=attempt, random=Random(seed))


@pytest.mark.parametrize(
    "fault",
    [
        "bad_request",
        "unauthorized",
        "forbidden",
        "model_not_found",
        "out_of_quota",
        "rate_limited",
        "content_filter",
        "context_overflow",
    ],
)
def test_what_another_attempt_cannot_mend_is_not_tried_again(fault):
    assert wait(fault) is None


def test_waits_are_spread_and_grow_up_to_a_limit():
    for attempt, longest in ((1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (9, 8_000)):
        waits = [wait("overloaded", attempt, seed=seed) for seed in range(200)]
        assert all(500 <= given <= longest for given in waits)
        assert len(set(waits)) > 100
        assert max(waits) > 0.9 * longest


def test_time_the_provider_names_is_kept_to():
    assert all(3_000 <= wait("overloaded", 1, 3_000, seed) <= 3_300 for seed in range(50))
    assert wait("overloaded", 1, 30_001) is None


def test_budget_is_a_fifth_of_the_requests_and_at_least_three():
    budget = RetryBudget()
    assert [budget.take(now_ms=0) for _ in range(4)] == [True, True, True, False]
    for _ in range(50):
        budget.note_request(now_ms=5_000)
    assert sum(budget.take(now_ms=5_000) for _ in range(20)) == 7
    assert not budget.take(now_ms=9_999)
    assert budget.take(now_ms=10_000), "what is older than ten seconds is forgotten"


def test_budget_forgets_requests():
    budget = RetryBudget()
    for _ in range(100):
        budget.note_request(now_ms=0)
    assert sum(budget.take(now_ms=10_000) for _ in range(20)) == 3
