"""So many questions run, twice as many wait, the rest are refused."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.serving.slots import RETRY_AFTER_MS_MAX, RETRY_AFTER_MS_MIN, Slots


def make_slots(count: int) -> tuple[Slots, list[str]]:
    changes: list[str] = []
    return Slots(count, changed=lambda: changes.append("changed")), changes


def test_slots_run_as_many_as_there_are_and_queue_twice_as_many():
    slots, _ = make_slots(2)
    places = [slots.enter() for _ in range(6)]
    assert (slots.running, slots.queued) == (2, 4)
    assert [slots.find_position(place) for place in places] == [0, 0, 1, 2, 3, 4]
    with pytest.raises(EngineError) as caught:
        slots.enter()
    assert caught.value.fault is EngineFault.OVERLOADED
    assert caught.value.retry_after_ms == 5_000


def test_slots_go_to_the_longest_waiting_question():
    slots, changes = make_slots(1)
    first, second, third = slots.enter(), slots.enter(), slots.enter()
    slots.leave(first)
    assert second.granted.is_set()
    assert not third.granted.is_set()
    assert slots.find_position(third) == 1
    assert len(changes) == 4


def test_slots_go_first_to_questions_that_are_paid_for():
    slots, _ = make_slots(1)
    running, free, paid = slots.enter(), slots.enter(), slots.enter(paid=True)
    assert [slots.find_position(place) for place in (paid, free)] == [1, 2]
    assert slots.queued == 2
    slots.leave(running)
    assert paid.granted.is_set()
    assert not free.granted.is_set()
    slots.leave(paid)
    assert free.granted.is_set()


def test_slots_forget_a_question_that_leaves_the_queue():
    slots, _ = make_slots(1)
    first, second, third = slots.enter(), slots.enter(), slots.enter()
    slots.leave(second)
    slots.leave(first)
    assert third.granted.is_set()
    slots.leave(third)
    assert (slots.running, slots.queued) == (0, 0)


def test_slots_learn_how_long_to_wait():
    slots, _ = make_slots(1)
    for _ in range(3):
        slots.enter()
    for run_ms, bound_ms in ((0, RETRY_AFTER_MS_MIN), (10_000_000, RETRY_AFTER_MS_MAX)):
        for _ in range(60):
            slots.note_run(run_ms)
        with pytest.raises(EngineError) as caught:
            slots.check_room()
        assert caught.value.retry_after_ms == bound_ms
