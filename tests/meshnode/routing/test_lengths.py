"""Lengths of answers are learned by tenant, and by model for tenants that had none."""

from __future__ import annotations

from meshnode.routing.lengths import TENANTS_MAX, OutputLengths


def test_lengths_start_where_they_are_told():
    lengths = OutputLengths(343)
    assert lengths.predict("t", "m", 0) == 343
    assert lengths.predict("t", "m", 100) == 100


def test_lengths_are_learned_by_tenant_and_model():
    lengths = OutputLengths(300)
    for _ in range(100):
        lengths.note("short", "m", 10)
    assert 10 <= lengths.predict("short", "m", 0) < 12
    assert lengths.predict("new", "m", 0) == lengths.predict("short", "m", 0)
    assert lengths.predict("short", "x", 0) == 300
    lengths.note("long", "m", 1_000)
    assert lengths.predict("long", "m", 0) > 100
    assert lengths.predict("long", "m", 50) == 50


def test_lengths_of_nobody_in_particular_are_the_models():
    lengths = OutputLengths(300)
    lengths.note("", "m", 400)
    assert lengths.predict("", "m", 0) == lengths.predict("t", "m", 0) == 310


def test_lengths_forget_who_asked_least_lately():
    lengths = OutputLengths(300)
    for number in range(2 * TENANTS_MAX):
        lengths.note(f"tenant {number}", "m", 300)
    lengths.note("last", "m", 1_300)
    assert lengths.predict("last", "m", 0) == 400
    assert lengths.predict("tenant 0", "m", 0) == lengths.predict("", "m", 0)
