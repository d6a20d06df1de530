"""Clocks with an offset, a rate and a drift."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.clocks import Clock
from simulations.errors import BadModel

HOUR_NS = 3_600_000_000_000

clocks = st.builds(
    Clock,
    offset_ns=st.integers(-(10**12), 10**12),
    skew_ppb=st.integers(-1_000_000, 1_000_000),
    drift_ppb_per_h=st.integers(-100_000, 100_000),
)


def test_a_plain_clock_shows_true_time():
    assert Clock().read(123) == 123
    assert Clock(offset_ns=-5).read(123) == 118


def test_skew_gains_by_the_second():
    assert Clock(skew_ppb=50_000).read(10**9) == 10**9 + 50_000
    assert Clock(skew_ppb=-50_000).read(10**9) == 10**9 - 50_000


def test_drift_changes_the_rate():
    # From rate 0 to 1,000 ppb within an hour: 500 ppb on average.
    assert Clock(drift_ppb_per_h=1_000).read(HOUR_NS) == HOUR_NS + 1_800_000


def test_a_jump_moves_the_clock():
    clock = Clock()
    clock.jump(100)
    assert clock.read(1) == 101


@given(clocks, st.integers(0, 100 * HOUR_NS), st.integers(0, 10**12))
def test_time_never_goes_back(clock: Clock, true_ns: int, later_ns: int):
    assert clock.read(true_ns + later_ns) >= clock.read(true_ns)


@given(clocks, st.integers(0, 100 * HOUR_NS), st.integers(-(10**9), 10**12))
def test_find_is_the_first_moment_that_shows_a_time(clock: Clock, since_ns: int, ahead_ns: int):
    local_ns = clock.read(since_ns) + ahead_ns
    found_ns = clock.find(local_ns, since_ns)
    assert found_ns >= since_ns
    assert clock.read(found_ns) >= local_ns
    assert found_ns == since_ns or clock.read(found_ns - 1) < local_ns


@pytest.mark.parametrize("fields", [{"skew_ppb": 2_000_000}, {"drift_ppb_per_h": -200_000}])
def test_a_clock_that_could_stand_still_is_refused(fields: dict):
    with pytest.raises(BadModel):
        Clock(**fields)
