"""The agenda: in order, nothing that no longer holds, and without growing for ever."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from market.agenda import SPARE_ENTRIES, Agenda

entries = st.sampled_from(["a", "b", "c", "d"])
steps = st.lists(st.tuples(entries, st.integers(-1, 8)), max_size=200)


class Plan:
    """Names, each due at one time at most, and an agenda over them."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self.agenda = Agenda(self.is_alive, self.list_alive)

    def is_alive(self, name: str, due_ms: int) -> bool:
        return self.due.get(name) == due_ms

    def list_alive(self) -> Iterable[tuple[int, str]]:
        return [(due_ms, name) for name, due_ms in self.due.items()]

    def set(self, name: str, due_ms: int) -> None:
        self.due[name] = due_ms
        self.agenda.put(due_ms, name)

    def take_all(self, now_ms: int) -> list[tuple[int, str]]:
        taken = []
        for entry in self.agenda.take_due(now_ms):
            if self.is_alive(entry[1], entry[0]):
                taken.append(entry)
                del self.due[entry[1]]
        return taken


@given(steps, st.integers(0, 9))
def test_what_is_due_comes_by_time_and_then_in_its_own_order(changes: list, now_ms: int):
    plan = Plan()
    for name, due_ms in changes:
        if due_ms < 0:
            plan.due.pop(name, None)
        else:
            plan.set(name, due_ms)
    wanted = sorted((due_ms, name) for name, due_ms in plan.due.items() if due_ms <= now_ms)
    left = [due_ms for due_ms in plan.due.values() if due_ms > now_ms]
    assert plan.agenda.find_next() == min(plan.due.values(), default=None)
    assert plan.take_all(now_ms) == wanted
    assert plan.agenda.find_next() == min(left, default=None)


def test_entry_that_comes_while_its_time_is_drained_takes_its_place():
    plan = Plan()
    for name in "bd":
        plan.set(name, 5)
    taken = plan.agenda.take_due(5)
    assert next(taken) == (5, "b")
    del plan.due["b"]
    plan.set("c", 5)
    plan.set("a", 5)
    assert list(taken) == [(5, "a"), (5, "c"), (5, "d")]


def test_drain_goes_on_when_entries_are_swept_out_or_after_it_stopped():
    plan = Plan()
    for name in "abc":
        plan.set(name, 5)
    taken = plan.agenda.take_due(5)
    del plan.due[next(taken)[1]]
    for due_ms in range(10, 10 + 2 * SPARE_ENTRIES):
        plan.set("d", due_ms)
    del plan.due[next(taken)[1]]
    del taken
    assert plan.take_all(5) == [(5, "c")]


def test_entries_of_one_time_may_have_an_order_of_their_own():
    agenda: Agenda[str] = Agenda(lambda _, __: True, lambda: (), len)
    for name in ("ccc", "a", "bb"):
        agenda.put(1, name)
    assert list(agenda.take_due(1)) == [(1, "a"), (1, "bb"), (1, "ccc")]


def test_what_was_alive_at_the_start_is_on_the_agenda():
    agenda: Agenda[str] = Agenda(lambda _, __: True, lambda: [(7, "x"), (3, "y")])
    assert agenda.find_next() == 3
    assert list(agenda.take_due(9)) == [(3, "y"), (7, "x")]


def test_entries_left_behind_are_swept_out_when_they_are_the_majority():
    plan = Plan()
    for due_ms in range(10 * SPARE_ENTRIES):
        plan.set("a", due_ms)
        assert len(plan.agenda) <= 2 * len(plan.due) + SPARE_ENTRIES
    assert plan.take_all(10**6) == [(10 * SPARE_ENTRIES - 1, "a")]
