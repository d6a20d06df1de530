"""Plans of faults: drawn alike from one seed, varied, and within the safety phase."""

from __future__ import annotations

from simulations.faults import KINDS_MIN, Churn, Twins, find_dishonest, find_kinds
from simulations.fuzzing.plan import ABSENCES_MAX, draw_plan
from simulations.streams import Streams

NODES = 7
SAFETY_MS = 20_000
PLANS = [draw_plan(Streams(seed).get("plan"), NODES, SAFETY_MS) for seed in range(200)]


def test_plan_is_the_same_for_the_same_seed():
    assert draw_plan(Streams(3).get("plan"), NODES, SAFETY_MS) == PLANS[3]


def test_every_plan_has_several_kinds_and_all_kinds_are_drawn():
    assert min(len(find_kinds(plan)) for plan in PLANS) >= KINDS_MIN
    kinds = {kind for plan in PLANS for kind in find_kinds(plan)}
    assert len(kinds) == 13


def test_faults_begin_and_end_while_safety_is_all_that_is_owed():
    for fault in (fault for plan in PLANS for fault in plan):
        assert 0 <= getattr(fault, "at_ms", 0) < SAFETY_MS
        assert getattr(fault, "at_ms", 0) + getattr(fault, "for_ms", 0) <= SAFETY_MS


def test_numbers_name_faults_apart():
    for plan in PLANS:
        assert len({fault.number for fault in plan}) == len(plan)


def test_liars_and_twins_are_a_minority():
    for plan in PLANS:
        assert len(find_dishonest(plan)) <= (NODES - 1) // 3
        twins = [fault.host for fault in plan if isinstance(fault, Twins)]
        assert len(set(twins)) == len(twins)


def test_churn_is_many_absences_and_no_more_than_can_be_looked_at():
    counts = [sum(isinstance(fault, Churn) for fault in plan) for plan in PLANS]
    assert max(counts) == ABSENCES_MAX
    assert any(0 < count < ABSENCES_MAX for count in counts)
    for fault in (fault for plan in PLANS for fault in plan if isinstance(fault, Churn)):
        assert fault.at_ms + fault.down_ms <= SAFETY_MS
        assert fault.down_ms > 0
