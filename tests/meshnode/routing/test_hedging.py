"""A hedge goes out when a first token is later than nearly all predictions were wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.routing.hedging import DELAY_MS_MIN, SAMPLES_MIN, WINDOW, PredictionErrors, has_room


def test_hedge_needs_experience():
    errors = PredictionErrors()
    for _ in range(SAMPLES_MIN - 1):
        errors.note(0, 0)
    assert errors.hedge_delay_ms(100) is None
    errors.note(0, 0)
    assert errors.hedge_delay_ms(100) == DELAY_MS_MIN


def test_hedge_waits_for_what_was_predicted_and_the_tail_of_errors():
    errors = PredictionErrors()
    for late_ms in range(100):
        errors.note(1_000, 1_000 + late_ms * 10)
    assert errors.hedge_delay_ms(2_000) == 2_950


def test_hedge_forgets_old_errors():
    errors = PredictionErrors()
    for _ in range(WINDOW):
        errors.note(0, 50_000)
    for _ in range(WINDOW):
        errors.note(0, 2_000)
    assert errors.hedge_delay_ms(0) == 2_000


@given(st.lists(st.integers(-(10**6), 10**6), min_size=SAMPLES_MIN, max_size=3 * WINDOW))
def test_hedge_delay_is_a_quantile_of_the_last_errors(errors_ms):
    errors = PredictionErrors()
    for error_ms in errors_ms:
        errors.note(0, error_ms)
    recent = sorted(errors_ms[-WINDOW:])
    expected = max(DELAY_MS_MIN, recent[len(recent) * 95 // 100])
    assert errors.hedge_delay_ms(0) == expected


def test_hedge_has_room_up_to_seven_tenths_of_the_slots():
    assert has_room(7, 10)
    assert not has_room(8, 10)
