"""Admission: slots are conserved, queues are bounded and fair, refusals say when to come back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.admission import (
    PAID_RUN_MAX,
    Admission,
    Admitted,
    Arrival,
    Limits,
    RefusalCode,
    Refused,
)

LIMITS = Limits(slots=2)


def arrive(tenant: str = "t", *, tokens: int = 100, **fields) -> Arrival:
    return Arrival(tenant=tenant, prompt_tokens=tokens, **fields)


def offer(admission: Admission, arrival: Arrival | None = None, *, now_ms=0, draw=0, kv=0):
    return admission.offer(arrival or arrive(), now_ms=now_ms, draw=draw, kv_usage_bp=kv)


def fill(admission: Admission, count: int, arrival: Arrival | None = None) -> list[int]:
    """Let so many requests in; their keys."""
    keys = []
    for _ in range(count):
        admitted = offer(admission, arrival)
        assert isinstance(admitted, Admitted)
        keys.append(admitted.key)
        admission.take_ready(now_ms=0)
    return keys


def refuse(admission: Admission, arrival: Arrival | None = None, **options) -> Refused:
    refused = offer(admission, arrival, **options)
    assert isinstance(refused, Refused)
    return refused


def test_admission_runs_as_many_as_there_are_slots_and_queues_twice_as_many():
    admission = Admission(LIMITS)
    keys = fill(admission, 6)
    assert (admission.running, admission.queued) == (2, 4)
    assert refuse(admission).code is RefusalCode.QUEUE_FULL
    assert [admission.find_position(key) for key in keys] == [0, 0, 1, 2, 3, 4]
    admission.leave(keys[0], now_ms=10)
    assert admission.take_ready(now_ms=10) == (keys[2],)
    assert admission.take_ready(now_ms=10) == ()


def test_admission_of_no_slots_has_one():
    assert isinstance(offer(Admission(Limits(slots=0))), Admitted)


def test_admission_predicts_the_wait():
    admission = Admission(Limits(slots=1, queued_per_slot=8))
    assert offer(admission).wait_ms == 0
    assert admission.take_ready(now_ms=0) == (1,)
    assert offer(admission).wait_ms == 2_000
    assert offer(admission).wait_ms == 4_000


def test_admission_learns_how_long_requests_hold_a_slot():
    admission = Admission(Limits(slots=1))
    for _ in range(100):
        key = offer(admission).key
        admission.take_ready(now_ms=0)
        admission.leave(key, now_ms=400)
    fill(admission, 1)
    assert 390 <= offer(admission).wait_ms <= 410


def test_admission_refuses_who_would_wait_too_long():
    admission = Admission(Limits(slots=1, queued_per_slot=100))
    fill(admission, 16)
    refused = refuse(admission)
    assert refused.code is RefusalCode.WAIT
    assert refused.retry_after_ms == 30_000
    admission = Admission(LIMITS)
    fill(admission, 3)
    assert refuse(admission, arrive(remaining_ms=1_900)).code is RefusalCode.WAIT
    assert refuse(admission, arrive(first_token_ms=1_900)).code is RefusalCode.WAIT
    assert refuse(admission, arrive(tokens=1_000_000)).code is RefusalCode.WAIT


def test_admission_learns_how_long_prompts_take():
    admission = Admission(Limits(slots=1))
    for _ in range(100):
        key = offer(admission, arrive(tokens=1_000)).key
        admission.take_ready(now_ms=0)
        admission.on_first_token(key, now_ms=10)
        admission.leave(key, now_ms=2_000)
    fill(admission, 1)
    assert isinstance(offer(admission, arrive(tokens=1_000_000)), Admitted)


def test_admission_counts_tokens_until_the_first_one_is_out():
    admission = Admission(LIMITS)
    first, second, third = fill(admission, 3)
    assert admission.queued_prefill_tokens == 300
    admission.on_first_token(first, now_ms=10)
    admission.on_first_token(first, now_ms=10)
    admission.on_first_token(third, now_ms=10)
    admission.on_first_token(99, now_ms=10)
    assert admission.queued_prefill_tokens == 200
    for key in (first, second, third, third):
        admission.leave(key, now_ms=20)
    assert admission.queued_prefill_tokens == 0


def test_admission_bounds_bytes():
    admission = Admission(Limits(slots=1, request_bytes_max=100, queued_bytes_max=150))
    assert refuse(admission, arrive(size_bytes=101)) == (
        RefusalCode.TOO_LARGE,
        0,
        "a request of 101 bytes, 100 allowed",
    )
    keys = fill(admission, 2, arrive(size_bytes=100))
    assert admission.queued_bytes == 100
    assert refuse(admission, arrive(size_bytes=51)).code is RefusalCode.BYTES
    admission.leave(keys[1], now_ms=0)
    assert admission.queued_bytes == 0


def test_admission_refuses_everything_while_draining():
    admission = Admission(LIMITS)
    assert not admission.is_draining
    admission.drain()
    assert admission.is_draining
    assert refuse(admission).code is RefusalCode.DRAINING


def test_admission_drops_who_waited_beyond_the_deadline():
    admission = Admission(LIMITS)
    fill(admission, 2)
    urgent = fill(admission, 1, arrive(remaining_ms=5_000))
    patient = fill(admission, 1)
    assert admission.take_expired(now_ms=4_999) == ()
    assert admission.take_expired(now_ms=5_000) == tuple(urgent)
    assert admission.queued == 1
    admission.leave(patient[0], now_ms=5_000)
    assert admission.find_position(urgent[0]) == 0


def test_retry_after_grows_with_the_queue_and_is_jittered_within_bounds():
    admission = Admission(LIMITS)
    fill(admission, 6)
    waits = [refuse(admission, draw=draw).retry_after_ms for draw in range(200)]
    assert 4_000 <= min(waits) < max(waits) <= 4_400
    slow = Admission(Limits(slots=1, queued_per_slot=100, wait_ms_max=10**6))
    fill(slow, 30, arrive(remaining_ms=10**6, first_token_ms=10**6))
    waits = [refuse(slow, arrive(first_token_ms=1), draw=draw).retry_after_ms for draw in range(50)]
    assert max(waits) == 30_000


@pytest.mark.parametrize(("queued", "kv_usage_bp", "share"), [(1, 0, 0.01), (2, 0, 0.3), (3, 0, 1)])
def test_sheddable_requests_are_dropped_the_more_the_fuller(queued, kv_usage_bp, share):
    admission = Admission(Limits(slots=5))
    fill(admission, 5 + queued)
    sheddable = arrive(sheddable=True)
    shed = 0
    for draw in range(300):
        offered = offer(admission, sheddable, draw=draw, kv=kv_usage_bp)
        if isinstance(offered, Refused):
            assert offered.code is RefusalCode.SHED
            shed += 1
        else:
            admission.leave(offered.key, now_ms=0)
    assert abs(shed / 300 - min(1, 300 * (queued / 10) ** 5)) < 0.1


def test_sheddable_requests_are_dropped_when_the_cache_is_full():
    admission = Admission(Limits(slots=1, queued_per_slot=1_000, wait_ms_max=10**9))
    fill(admission, 2)
    assert isinstance(offer(admission, arrive(sheddable=True), kv=1_000), Admitted)
    assert refuse(admission, arrive(sheddable=True), kv=10_000).code is RefusalCode.SHED


def test_who_pays_goes_first_but_not_for_ever():
    admission = Admission(Limits(slots=1, queued_per_slot=100, wait_ms_max=10**6))
    fill(admission, 1)
    free = fill(admission, 2, arrive("free"))
    paid = fill(admission, PAID_RUN_MAX + 4, arrive("paid", paid=True))
    assert admission.find_position(paid[0]) == 1
    assert admission.find_position(free[0]) == len(paid) + 1
    order = []
    running = 1
    while admission.queued:
        admission.leave(running, now_ms=0)
        (running,) = admission.take_ready(now_ms=0)
        order.append(running)
    assert order == [*paid[:PAID_RUN_MAX], free[0], *paid[PAID_RUN_MAX:], free[1]]


steps = st.lists(
    st.one_of(
        st.builds(
            Arrival,
            tenant=st.sampled_from("abc"),
            prompt_tokens=st.integers(-10, 200_000),
            size_bytes=st.integers(0, 3 * 1024 * 1024),
            remaining_ms=st.integers(1, 120_000),
            sheddable=st.booleans(),
            paid=st.booleans(),
        ),
        st.integers(0, 60),
        st.just("first"),
        st.just("expire"),
    ),
    max_size=120,
)


@given(steps, st.integers(1, 4), st.randoms(use_true_random=False))
def test_admission_conserves_slots(steps, slots, random):
    admission = Admission(Limits(slots=slots))
    waiting: dict[int, None] = {}
    running: dict[int, None] = {}
    now_ms = 0
    for step in steps:
        now_ms += random.randrange(1_000)
        match step:
            case Arrival():
                offered = admission.offer(step, now_ms=now_ms, draw=random.getrandbits(64))
                if isinstance(offered, Admitted):
                    waiting[offered.key] = None
                else:
                    assert 0 <= offered.retry_after_ms <= 30_000
            case "first":
                for key in running:
                    admission.on_first_token(key, now_ms=now_ms)
            case "expire":
                for key in admission.take_expired(now_ms=now_ms):
                    del waiting[key]
            case key:
                admission.leave(key, now_ms=now_ms)
                waiting.pop(key, None)
                running.pop(key, None)
        for key in admission.take_ready(now_ms=now_ms):
            del waiting[key]
            running[key] = None
        assert (admission.running, admission.queued) == (len(running), len(waiting))
        assert admission.running == slots or not waiting
        assert admission.running <= slots
        assert admission.queued <= 2 * slots
        assert admission.queued_bytes <= 64 * 1024 * 1024
        assert admission.queued_prefill_tokens >= 0
    for key in [*running, *waiting]:
        admission.leave(key, now_ms=now_ms)
    assert (admission.queued_prefill_tokens, admission.queued_bytes) == (0, 0)
