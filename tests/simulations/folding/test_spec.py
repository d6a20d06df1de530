"""A seed stands for one run, and every run is worth its while."""

from __future__ import annotations

from simulations.folding.spec import APART_EVERY, COPIES_MAX, KINDS, KINDS_MIN, draw_spec


def test_seed_stands_for_one_run():
    assert draw_spec(5) == draw_spec(5) != draw_spec(6)
    assert draw_spec(5, mutant="self-trades").mutant == "self-trades"


def test_specs_have_enough_of_everything():
    specs = [draw_spec(seed) for seed in range(200)]
    assert all(len(spec.kinds) >= KINDS_MIN for spec in specs)
    assert {kind for spec in specs for kind in spec.kinds} == set(KINDS)
    assert {spec.copies for spec in specs} == set(range(2, COPIES_MAX + 1))
    assert sum(spec.apart for spec in specs) == 200 // APART_EVERY
