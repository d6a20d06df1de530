"""A breaker opens on breakage, never on load, and closes after two probes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.breaker import OPEN_MS, OPEN_MS_MAX, WINDOW_MAX, WINDOW_MS, Breaker


def open_breaker(now_ms: int = 0) -> Breaker:
    breaker = Breaker()
    for ticket in range(5):
        breaker.on_failure(ticket, now_ms=now_ms, draw=0)
    return breaker


def test_breaker_opens_after_five_failures_in_a_row():
    breaker = Breaker()
    for ticket in range(4):
        breaker.on_failure(ticket, now_ms=0, draw=0)
    assert breaker.allows(0)
    breaker.on_failure(4, now_ms=0, draw=0)
    assert not breaker.allows(OPEN_MS - 1)
    assert breaker.allows(OPEN_MS)


def test_breaker_opens_when_more_than_half_of_the_last_half_minute_failed():
    breaker = Breaker()
    for turn in range(5):
        breaker.on_success(turn, now_ms=0)
        breaker.on_failure(turn, now_ms=0, draw=0)
    assert breaker.allows(0)
    breaker.on_failure(99, now_ms=1, draw=0)
    assert not breaker.allows(1)


def test_breaker_forgets_what_left_its_window():
    breaker = Breaker()
    for turn in range(4):
        breaker.on_failure(turn, now_ms=0, draw=0)
    for turn in range(4):
        breaker.on_success(turn, now_ms=WINDOW_MS)
    for turn in range(4):
        breaker.on_failure(turn, now_ms=WINDOW_MS, draw=0)
    assert breaker.allows(WINDOW_MS)


def test_breaker_remembers_a_bounded_number_of_outcomes():
    breaker = Breaker()
    for turn in range(WINDOW_MAX + 10):
        breaker.on_success(turn, now_ms=0)
    for turn in range(4):
        breaker.on_failure(turn, now_ms=0, draw=0)
    assert breaker.allows(0)


def test_breaker_lets_one_probe_through_and_closes_after_two():
    breaker = open_breaker()
    breaker.on_sent(10, now_ms=OPEN_MS - 1)
    assert breaker.allows(OPEN_MS)
    breaker.on_sent(11, now_ms=OPEN_MS)
    assert not breaker.allows(OPEN_MS)
    breaker.on_sent(12, now_ms=OPEN_MS)
    breaker.on_success(12, now_ms=OPEN_MS)
    assert not breaker.allows(OPEN_MS)
    breaker.on_success(11, now_ms=OPEN_MS)
    assert breaker.until_ms is not None
    breaker.on_sent(13, now_ms=OPEN_MS)
    breaker.on_success(13, now_ms=OPEN_MS)
    assert breaker.until_ms is None
    assert breaker.allows(0)


def test_breaker_stays_open_longer_after_each_failed_probe():
    breaker = open_breaker()
    waits = []
    for ticket in range(10, 16):
        now_ms = breaker.until_ms or 0
        breaker.on_sent(ticket, now_ms=now_ms)
        breaker.on_failure(ticket, now_ms=now_ms, draw=0)
        waits.append((breaker.until_ms or 0) - now_ms)
    assert waits == [60_000, 120_000, 240_000, OPEN_MS_MAX, OPEN_MS_MAX, OPEN_MS_MAX]


def test_breaker_is_not_kept_open_by_what_was_sent_before():
    breaker = open_breaker()
    until_ms = breaker.until_ms
    breaker.on_failure(3, now_ms=100, draw=0)
    assert breaker.until_ms == until_ms


def test_breaker_releases_its_probe_when_it_ends_without_a_verdict():
    breaker = open_breaker()
    breaker.on_sent(10, now_ms=OPEN_MS)
    breaker.on_neutral(9)
    assert not breaker.allows(OPEN_MS)
    breaker.on_neutral(10)
    assert breaker.allows(OPEN_MS)


def test_breaker_spreads_its_end():
    jittered = Breaker()
    for ticket in range(5):
        jittered.on_failure(ticket, now_ms=0, draw=1_000)
    assert jittered.until_ms == OPEN_MS * 12 // 10


@given(st.lists(st.sampled_from(["sent", "neutral", "success"])))
def test_breaker_never_opens_without_failures(steps):
    breaker = Breaker()
    for ticket, step in enumerate(steps):
        if step == "sent":
            breaker.on_sent(ticket, now_ms=ticket)
        elif step == "neutral":
            breaker.on_neutral(ticket)
        else:
            breaker.on_success(ticket, now_ms=ticket)
        assert breaker.allows(ticket)
