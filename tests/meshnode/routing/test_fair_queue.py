"""Deficit round robin: equal shares of tokens, urgent requests first, nobody starves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.fair_queue import FairQueue

QUANTUM = 100
COST_MAX = 350


def fill(*requests: tuple[str, int, int]) -> FairQueue:
    """Tenants, costs and deadlines; keys count from 1."""
    queue = FairQueue(QUANTUM)
    for key, (tenant, cost, deadline_ms) in enumerate(requests, start=1):
        queue.add(key, tenant, deadline_ms=deadline_ms, cost_tokens=cost)
    return queue


def drain(queue: FairQueue) -> list[int]:
    return [queue.take() for _ in range(len(queue))]


def test_queue_serves_tenants_in_turn():
    queue = fill(("a", 100, 0), ("a", 100, 0), ("a", 100, 0), ("b", 100, 0), ("c", 100, 0))
    assert drain(queue) == [1, 4, 5, 2, 3]
    assert len(queue) == 0


def test_queue_serves_several_small_requests_in_one_turn():
    queue = fill(("a", 50, 0), ("a", 50, 0), ("a", 50, 0), ("b", 50, 0))
    assert drain(queue) == [1, 2, 4, 3]


def test_queue_lets_who_asks_for_much_wait_for_rounds():
    queue = fill(("a", 300, 0), *[("b", 100, 0)] * 5)
    assert drain(queue) == [2, 3, 1, 4, 5, 6]


def test_queue_serves_the_earliest_deadline_of_a_tenant_first():
    queue = fill(("a", 100, 30), ("a", 100, 10), ("a", 100, 10), ("a", 100, 20))
    assert drain(queue) == [2, 3, 4, 1]


def test_queue_forgets_what_was_removed():
    queue = fill(("a", 100, 0), ("a", 100, 0), ("b", 100, 0))
    queue.remove(1, "a")
    queue.remove(3, "b")
    assert drain(queue) == [2]


def test_queue_saves_nothing_up_for_the_idle():
    queue = fill(("a", 10, 0), ("b", 100, 0), ("b", 100, 0))
    assert queue.take() == 1
    queue.add(4, "a", deadline_ms=0, cost_tokens=100)
    assert drain(queue) == [2, 4, 3]


def test_queue_goes_on_when_a_tenant_comes_back_in_its_turn():
    queue = fill(("a", 100, 0))
    queue.take()
    queue.add(2, "a", deadline_ms=0, cost_tokens=100)
    queue.add(3, "b", deadline_ms=0, cost_tokens=100)
    assert drain(queue) in ([2, 3], [3, 2])


costs = st.integers(1, COST_MAX)
tenants = st.sampled_from("abcd")


@given(st.lists(st.lists(costs, min_size=20, max_size=20), min_size=2, max_size=5))
def test_queue_is_fair_to_all_that_wait_all_the_time(backlogs):
    queue = FairQueue(QUANTUM)
    tenant_of: dict[int, tuple[int, int]] = {}
    for tenant, backlog in enumerate(backlogs):
        for cost in backlog:
            key = len(tenant_of) + 1
            tenant_of[key] = (tenant, cost)
            queue.add(key, f"tenant {tenant}", deadline_ms=0, cost_tokens=cost)
    served = [0] * len(backlogs)
    left = [20] * len(backlogs)
    while min(left) > 0:
        tenant, cost = tenant_of[queue.take()]
        served[tenant] += cost
        left[tenant] -= 1
        assert max(served) - min(served) <= 2 * QUANTUM + 2 * COST_MAX


@given(
    st.lists(st.one_of(st.none(), st.tuples(tenants, costs, st.integers(0, 5))), max_size=80),
)
def test_queue_serves_everything_once(steps):
    queue = FairQueue(QUANTUM)
    waiting: dict[int, str] = {}
    for key, step in enumerate(steps):
        if step is not None:
            tenant, cost, deadline_ms = step
            queue.add(key, tenant, deadline_ms=deadline_ms, cost_tokens=cost)
            waiting[key] = tenant
        elif waiting:
            del waiting[queue.take()]
        assert len(queue) == len(waiting)
    assert sorted(drain(queue)) == sorted(waiting)


@given(costs, st.lists(st.tuples(st.sampled_from("bcd"), costs), max_size=60))
def test_queue_starves_nobody(cost, others):
    queue = FairQueue(QUANTUM)
    queue.add(0, "a", deadline_ms=10**9, cost_tokens=cost)
    for key, (tenant, other_cost) in enumerate(others, start=1):
        queue.add(key, tenant, deadline_ms=0, cost_tokens=other_cost)
    served_before: dict[str, int] = {}
    for key in iter(queue.take, 0):
        tenant, other_cost = others[key - 1]
        served_before[tenant] = served_before.get(tenant, 0) + other_cost
    rounds = -(-cost // QUANTUM)
    assert all(tokens <= (rounds + 1) * QUANTUM for tokens in served_before.values())
