"""Each number of a connection counts once, in whatever order numbers come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshnode.sealed.replays import WINDOW, ReplayWindow


@given(st.lists(st.integers(min_value=1, max_value=3 * WINDOW), max_size=200))
def test_window_takes_each_number_once_unless_it_is_too_old(numbers):
    window, taken, highest = ReplayWindow(), set(), 0
    for number in numbers:
        fresh = number not in taken and number > highest - WINDOW
        assert window.take(number) is fresh
        if fresh:
            taken.add(number)
            highest = max(highest, number)


def test_window_holds_exactly_so_many():
    window = ReplayWindow()
    assert window.take(WINDOW)
    assert window.take(1)
    assert not window.take(1)
    assert window.take(WINDOW + 1)
    assert not window.take(1)
    assert window.take(2)
    assert window.take(2**53)
    assert not window.take(3)
