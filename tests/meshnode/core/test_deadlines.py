"""The first of several deadlines."""

from __future__ import annotations

from meshnode.core.deadlines import find_earliest


def test_the_earliest_counts_and_nobody_waits_for_nothing():
    assert find_earliest([lambda: 5, lambda: None, lambda: 3, lambda: 4]) == 3
    assert find_earliest([lambda: None]) is None
    assert find_earliest([]) is None
