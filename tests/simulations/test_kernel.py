"""Order, time, timers and the trace."""

from __future__ import annotations

import random

import pytest

from simulations.kernel import CONTROL, Kernel, Timer


def collect(kernel: Kernel, target: int = 0) -> list:
    seen: list = []
    kernel.register(target, lambda kind, payload: seen.append((kernel.now_ns, kind, payload)))
    return seen


def test_events_come_in_order_of_time_then_of_scheduling():
    kernel = Kernel()
    seen = collect(kernel)
    for time_ns, payload in ((5, "c"), (1, "a"), (5, "d"), (3, "b")):
        kernel.schedule(time_ns, 0, 7, payload)
    kernel.run(10)
    assert seen == [(1, 7, "a"), (3, 7, "b"), (5, 7, "c"), (5, 7, "d")]
    assert (kernel.now_ns, kernel.events, len(kernel)) == (10, 4, 0)


@pytest.mark.parametrize("traced", [True, False])
def test_run_handles_the_last_instant_and_leaves_what_is_later(traced: bool):
    kernel = Kernel(traced=traced)
    seen = collect(kernel)
    kernel.schedule(10, 0, 0)
    kernel.schedule(11, 0, 0)
    kernel.run(10)
    assert len(seen) == 1
    assert kernel.next_ns == 11
    assert list(kernel.pending()) == [(0, 0, None)]


def test_step_handles_one_event_and_says_when_there_is_none():
    kernel = Kernel()
    seen = collect(kernel)
    kernel.schedule(4, 0, 1)
    assert kernel.step()
    assert not kernel.step()
    assert seen == [(4, 1, None)]
    assert kernel.next_ns is None


def test_schedule_refuses_the_past():
    kernel = Kernel()
    kernel.run(10)
    with pytest.raises(AssertionError, match="has passed"):
        kernel.schedule(9, CONTROL, 0)


def test_register_refuses_a_target_twice():
    kernel = Kernel()
    collect(kernel)
    with pytest.raises(AssertionError, match="taken"):
        collect(kernel)


def test_calls_happen_at_their_time():
    kernel = Kernel()
    seen: list[tuple[int, str]] = []
    kernel.at(3, lambda word: seen.append((kernel.now_ns, word)), "at")
    kernel.run(2)
    kernel.after(5, lambda: seen.append((kernel.now_ns, "after")))
    kernel.run(20)
    assert seen == [(3, "at"), (7, "after")]


def order(seed: int) -> list[int]:
    kernel = Kernel(tie_break="random", tie_stream=random.Random(seed))
    seen = collect(kernel)
    for number in range(20):
        kernel.schedule(1, 0, 0, number)
    kernel.run(1)
    return [payload for _, _, payload in seen]


def test_random_tie_break_shuffles_by_its_stream():
    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(20)) != order(1)


def test_random_tie_break_needs_a_stream():
    with pytest.raises(AssertionError, match="stream"):
        Kernel(tie_break="random")


def digest(times: list[int], *, notes: bytes = b"", traced: bool = True) -> str:
    kernel = Kernel(traced=traced)
    collect(kernel)
    for time_ns in times:
        kernel.schedule(time_ns, 0, 0)
    kernel.run(10_000)
    if notes:
        kernel.note(notes)
    return kernel.digest


def test_digest_depends_on_every_event_and_note():
    base = digest([1, 2, 3])
    assert digest([3, 1, 2]) == base
    assert digest([1, 2, 4]) != base
    assert digest([1, 2, 3], notes=b"x") != base
    assert digest(list(range(3_000))) != digest(list(range(2_999)))


def test_digest_says_nothing_when_not_traced():
    assert digest([1], traced=False) == digest([2], traced=False)


def test_recent_events_are_bounded():
    kernel = Kernel()
    collect(kernel)
    for time_ns in range(500):
        kernel.schedule(time_ns, 0, 2)
    kernel.run(500)
    assert len(kernel.recent) == 200
    assert kernel.recent[-1] == (499, 0, 2)


@pytest.mark.parametrize("traced", [True, False])
def test_watchers_see_every_event_after_it_was_handled(traced: bool):
    kernel = Kernel(traced=traced)
    seen = collect(kernel)
    watched: list = []
    kernel.watchers.append(lambda *event: watched.append((*event, len(seen))))
    kernel.schedule(1, 0, 9, "p")
    kernel.run(1)
    assert watched == [(0, 9, "p", 1)]


@pytest.mark.parametrize("traced", [True, False])
def test_events_are_counted_when_a_handler_raises(traced: bool):
    kernel = Kernel(traced=traced)
    kernel.at(1, lambda: None)
    kernel.at(2, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kernel.run(5)
    assert (kernel.events, kernel.now_ns) == (2, 2)


class Alarm:
    """A target with one timer."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.rang: list[int] = []
        self.kernel.register(0, self.handle)
        self.timer = Timer(self.kernel, 0, 1, "key")

    def handle(self, kind: int, payload: tuple[str, int]) -> None:
        assert (kind, payload[0]) == (1, "key")
        if self.timer.fires(payload[1]):
            self.rang.append(self.kernel.now_ns)


def test_timer_fires_once_at_its_deadline():
    alarm = Alarm()
    alarm.timer.set(5)
    assert alarm.timer.due_ns == 5
    alarm.kernel.run(20)
    assert alarm.rang == [5]
    assert alarm.timer.due_ns is None


@pytest.mark.parametrize("moves", [[5, 9], [9, 5], [5, 9, 7], [9, 5, 7], [3, 12, 4, 8]])
def test_timer_fires_only_at_the_deadline_set_last(moves: list[int]):
    alarm = Alarm()
    for due_ns in moves:
        alarm.timer.set(due_ns)
    alarm.kernel.run(20)
    assert alarm.rang == [moves[-1]]


def test_timer_does_not_fire_when_cancelled():
    alarm = Alarm()
    alarm.timer.set(5)
    alarm.timer.cancel()
    alarm.kernel.run(20)
    assert not alarm.rang


def test_timer_fires_when_set_again_after_it_was_cancelled():
    alarm = Alarm()
    alarm.timer.set(5)
    alarm.timer.cancel()
    alarm.timer.set(7)
    alarm.kernel.run(20)
    assert alarm.rang == [7]


def test_timer_of_the_past_fires_now():
    alarm = Alarm()
    alarm.kernel.run(10)
    alarm.timer.set(3)
    alarm.kernel.run(10)
    assert alarm.rang == [10]
