"""Counts and distributions stay bounded whatever names come in."""

from __future__ import annotations

import pytest

from meshnode.shell.measures import (
    OTHER,
    VALUE_CHARS_MAX,
    VALUES_MAX,
    Distribution,
    Tally,
    clip_value,
)


def test_tally_counts_by_all_its_labels():
    tally = Tally()
    tally.add("a", "ok")
    tally.add("b", "ok", amount=3)
    tally.add("a", "ok")
    assert tally.list_counts() == [(("a", "ok"), 2), (("b", "ok"), 3)]


def test_tally_counts_names_past_the_bound_together():
    tally = Tally()
    for number in range(VALUES_MAX + 100):
        tally.add(f"model-{number:04}", "ok")
    tally.add("model-0001", "ok")
    counts = dict(tally.list_counts())
    assert len(counts) == VALUES_MAX + 1
    assert counts[OTHER, "ok"] == 100
    assert counts["model-0001", "ok"] == 2


def test_names_that_are_cut_alike_count_alike():
    tally = Tally()
    for end in ("a", "b"):
        tally.add("m" * VALUE_CHARS_MAX + end)
    assert tally.list_counts() == [(("m" * VALUE_CHARS_MAX,), 2)]


def test_values_of_labels_can_always_be_written():
    assert clip_value("a\ud800b").encode() == b"a?b"


def test_distribution_counts_up_to_each_bound():
    distribution = Distribution((10, 100))
    for duration_ms in (0, 10, 11, 100, 101, -5):
        distribution.observe(duration_ms)
    assert distribution.read() == ((10, 100), (3, 5, 6), 222)


def test_distribution_needs_bounds_that_ascend():
    with pytest.raises(AssertionError):
        Distribution((10, 10))
