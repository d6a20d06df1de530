"""Deadlines: taken in order, each subject once, whatever was set in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from market.deadlines import Deadlines
from market.tables import load_table

subjects = st.sampled_from([b"a", b"b", b"c", b"d"])


@given(st.lists(st.tuples(subjects, st.integers(-1, 20)), max_size=200))
def test_due_subjects_come_by_time_then_name(changes: list):
    deadlines = Deadlines()
    model: dict[bytes, int] = {}
    for subject, due_ms in changes:
        if due_ms < 0:
            deadlines.clear(subject)
            model.pop(subject, None)
        else:
            deadlines.set(subject, due_ms)
            model[subject] = due_ms
    assert len(deadlines) == len(model)
    assert deadlines.find_next() == min(model.values(), default=None)
    stored = Deadlines(load_table(deadlines.rows.dump()))
    for each in (deadlines, stored):
        taken = list(each.take_due(10))
        assert taken == sorted(
            (name for name in model if model[name] <= 10), key=lambda name: (model[name], name)
        )
        assert all(each.get(name) is None for name in taken)


def test_nothing_is_due_before_its_time():
    deadlines = Deadlines()
    deadlines.set(b"a", 10)
    assert list(deadlines.take_due(9)) == []
    assert list(deadlines.take_due(10)) == [b"a"]
    assert list(deadlines.take_due(10)) == []


def test_entries_that_are_skipped_do_not_pile_up():
    deadlines = Deadlines()
    for due_ms in range(1_000):
        deadlines.set(b"a", due_ms)
    assert len(deadlines._agenda) < 100
    assert deadlines.find_next() == 999
