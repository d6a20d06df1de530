"""Slots shrink while tokens come too slowly, and grow again when they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.admission import Admission, Arrival, Limits
from meshnode.routing.pace import PaceLimit


def test_pace_changes_nothing_where_no_bound_is_set():
    pace = PaceLimit(8, 0)
    pace.note(10**9, 8)
    assert pace.slots == 8


def test_pace_changes_nothing_while_no_token_came():
    pace = PaceLimit(8, 50_000)
    pace.note(0, 8)
    assert pace.slots == 8


def test_slots_shrink_to_what_the_pace_allows():
    pace = PaceLimit(64, 50_000)
    pace.note(60_000, 60)
    assert pace.slots == 50


def test_slots_never_shrink_below_a_quarter():
    pace = PaceLimit(10, 50_000)
    pace.note(10**6, 10)
    assert pace.slots == 3
    assert PaceLimit(1, 1).slots == 1


def test_slots_grow_one_by_one_while_all_are_in_use_and_tokens_come_fast():
    pace = PaceLimit(12, 50_000)
    pace.note(100_000, 12)
    assert pace.slots == 6
    pace.note(40_000, 5)
    assert pace.slots == 6
    pace.note(46_000, 6)
    assert pace.slots == 6
    for _ in range(20):
        pace.note(40_000, 12)
    assert pace.slots == 12


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 400)), max_size=30),
)
def test_slots_stay_within_their_bounds(slots: int, seconds: list[tuple[int, int]]):
    pace = PaceLimit(slots, 50_000)
    for token_us, running in seconds:
        pace.note(token_us, running)
        assert -(-slots // 4) <= pace.slots <= slots


@pytest.mark.parametrize(("alone_us", "each_us"), [(10_000, 1_000), (25_000, 1_000)])
def test_slots_settle_where_the_batch_keeps_the_pace(alone_us: int, each_us: int):
    pace = PaceLimit(64, 50_000)
    for _ in range(50):
        pace.note(alone_us + each_us * pace.slots, pace.slots)
    assert alone_us + each_us * pace.slots <= 50_000


def test_admission_lets_fewer_run_while_tokens_come_too_slowly():
    admission = Admission(Limits(slots=4, token_us_max=50_000))
    keys: list[int] = []
    for _ in range(4):
        admission.offer(Arrival(tenant="t", prompt_tokens=1), now_ms=0, draw=0)
        keys += admission.take_ready(now_ms=0)
    admission.on_pace(100_000)
    assert (admission.slots, admission.running) == (2, 4)
    admission.offer(Arrival(tenant="t", prompt_tokens=1), now_ms=0, draw=0)
    for key in keys[:2]:
        admission.leave(key, now_ms=1_000)
        assert admission.take_ready(now_ms=1_000) == ()
    admission.leave(keys[2], now_ms=1_000)
    assert len(admission.take_ready(now_ms=1_000)) == 1
