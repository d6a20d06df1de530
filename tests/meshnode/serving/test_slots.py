"""So many questions run, twice as many wait, the rest are refused."""

from __future__ import annotations

import pytest

from meshnode.engines.base import EngineError, EngineFault
from meshnode.routing.admission import Arrival
from meshnode.serving.protocol import REQUEST_BYTES_MAX
from meshnode.serving.slots import Slots


class Desk:
    """Slots with a clock of their own."""

    def __init__(self, count: int, *, token_ms_max: int = 0) -> None:
        self.now_ms = 1_000
        self.changes = 0
        self.slots = Slots(
            count,
            changed=self._count,
            read_clock_ms=lambda: self.now_ms,
            token_ms_max=token_ms_max,
        )

    def _count(self) -> None:
        self.changes += 1

    def enter(self, tenant: str = "a", **fields):
        return self.slots.enter(Arrival(tenant=tenant, prompt_tokens=100, **fields))


def test_slots_run_as_many_as_there_are_and_queue_twice_as_many():
    desk = Desk(2)
    places = [desk.enter() for _ in range(6)]
    assert (desk.slots.running, desk.slots.queued) == (2, 4)
    assert desk.slots.queued_prefill_tokens == 600
    assert [desk.slots.find_position(place) for place in places] == [0, 0, 1, 2, 3, 4]
    with pytest.raises(EngineError) as caught:
        desk.enter()
    assert caught.value.fault is EngineFault.OVERLOADED
    assert caught.value.retry_after_ms
    with pytest.raises(EngineError, match="2 requests run and 4 wait"):
        desk.slots.check_room(Arrival(tenant="b", prompt_tokens=1))


def test_slots_take_no_place_to_see_whether_there_is_room():
    desk = Desk(1)
    desk.slots.check_room(Arrival(tenant="a", prompt_tokens=1))
    assert (desk.slots.running, desk.slots.queued) == (0, 0)


def test_slots_go_to_the_longest_waiting_question_of_a_tenant():
    desk = Desk(1)
    first, second, third = desk.enter(), desk.enter(), desk.enter()
    desk.slots.leave(first)
    assert second.granted.is_set()
    assert not third.granted.is_set()
    assert desk.slots.find_position(third) == 1
    assert desk.changes == 4


def test_slots_go_round_the_tenants():
    desk = Desk(1)
    running = desk.enter("a", size_bytes=1)
    greedy, modest = desk.enter("a"), desk.enter("b")
    desk.slots.leave(running)
    desk.slots.leave(greedy if greedy.granted.is_set() else modest)
    assert greedy.granted.is_set()
    assert modest.granted.is_set()


def test_slots_go_first_to_questions_that_are_paid_for():
    desk = Desk(1)
    running, free, paid = desk.enter(), desk.enter(), desk.enter(paid=True)
    assert [desk.slots.find_position(place) for place in (paid, free)] == [1, 2]
    desk.slots.leave(running)
    assert paid.granted.is_set()
    assert not free.granted.is_set()


def test_slots_forget_a_question_that_leaves_the_queue():
    desk = Desk(1)
    first, second, third = desk.enter(), desk.enter(), desk.enter()
    desk.slots.leave(second)
    desk.slots.leave(first)
    assert third.granted.is_set()
    desk.slots.leave(third)
    assert (desk.slots.running, desk.slots.queued) == (0, 0)


def test_slots_count_prompts_until_their_first_token():
    desk = Desk(1)
    place = desk.enter()
    desk.slots.note_token(place)
    desk.slots.note_token(place)
    assert desk.slots.queued_prefill_tokens == 0
    assert desk.changes == 2


def test_slots_are_not_held_by_who_has_no_time_left():
    desk = Desk(1)
    desk.enter()
    for _ in range(2):
        desk.enter(remaining_ms=10_000)
    desk.now_ms += 10_000
    desk.enter()
    assert desk.slots.queued == 1


def test_slots_refuse_what_is_too_large_for_good():
    with pytest.raises(EngineError) as caught:
        Desk(1).enter(size_bytes=REQUEST_BYTES_MAX + 1)
    assert caught.value.fault is EngineFault.BAD_REQUEST
    assert caught.value.retry_after_ms is None


def test_slots_refuse_everything_while_they_drain():
    desk = Desk(1)
    desk.slots.drain()
    with pytest.raises(EngineError, match="shutting down"):
        desk.enter()


def speak(desk: Desk, places, *, token_ms: int, seconds: int) -> None:
    """Tokens of all places, one every so often."""
    for _ in range(seconds * 1_000 // token_ms):
        desk.now_ms += token_ms
        for place in places:
            desk.slots.note_token(place)


def test_slots_shrink_while_tokens_come_too_slowly_and_grow_again():
    desk = Desk(4, token_ms_max=50)
    places = [desk.enter() for _ in range(5)]
    speak(desk, places[:4], token_ms=100, seconds=2)
    assert desk.slots.slots == 2
    for place in places[:3]:
        desk.slots.leave(place)
    assert (desk.slots.running, desk.slots.queued) == (2, 0)
    waiting = desk.enter()
    assert not waiting.granted.is_set()
    speak(desk, places[3:], token_ms=10, seconds=2)
    assert desk.slots.slots > 2
    assert waiting.granted.is_set()


def test_slots_stay_as_they_are_without_a_bound_on_the_pace():
    desk = Desk(4)
    speak(desk, [desk.enter() for _ in range(4)], token_ms=500, seconds=4)
    assert desk.slots.slots == 4
