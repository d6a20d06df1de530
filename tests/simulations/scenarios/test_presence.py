"""Who was up, what could be had, and who caught up: on a history written by hand."""

from __future__ import annotations

import pytest

from simulations import World
from simulations.scenarios.presence import Moment, Presence, find_catch_ups_ns, look
from simulations.scenarios.spread import Spread, Story

A, B, C = 0, 1, 2


def make_history(changes: dict[int, list[int]], held: dict[bytes, dict[int, int]]):
    """Hosts that change at these times, and vertices that hosts hold since then; A is the author."""
    world = World(1)
    world.add_mesh(3)
    spread, presence = Spread(world), Presence(world)
    for host, times_ns in changes.items():
        for number, time_ns in enumerate(times_ns):
            world.kernel.now_ns = time_ns
            (presence.on_started if number % 2 else presence.on_crashed)(world.hosts[host])
    spread.stories = [Story(A, 0, vertex_id, b"") for vertex_id in held]
    spread.admitted = held
    return spread, presence


def test_hosts_are_up_from_the_start_until_they_leave():
    _, presence = make_history({B: [10, 20, 30]}, {})
    assert [presence.is_up(B, time_ns) for time_ns in (0, 9, 10, 19, 20, 29, 30)] == [
        *(True, True, False, False, True, True, False)
    ]
    assert presence.find_up(15) == [A, C]
    assert presence.find_returns() == [(B, 20, 30)]


def test_returns_are_in_order_of_time():
    _, presence = make_history({A: [10, 50], B: [10, 20, 30, 40]}, {})
    assert presence.find_returns() == [(B, 20, 30), (B, 40, None), (A, 50, None)]


def test_moment_counts_what_those_who_are_up_hold():
    held = {b"1": {A: 5, B: 6}, b"2": {A: 8}, b"later": {A: 99}}
    spread, presence = make_history({A: [10], B: [12], C: [14]}, held)
    assert look(spread, presence, 3, 4) is None
    assert look(spread, presence, 3, 9) == Moment(up=1.0, available=1.0, coverage=0.5)
    assert look(spread, presence, 3, 11) == Moment(up=2 / 3, available=0.5, coverage=0.25)
    assert look(spread, presence, 3, 20) == Moment(up=0, available=0, coverage=None)


def test_catch_up_ends_with_the_last_vertex_that_others_held():
    held = {b"1": {A: 15, B: 27}, b"2": {A: 16, B: 25}, b"after": {A: 21, B: 90}}
    assert find_catch_ups_ns(*make_history({B: [10, 20]}, held)) == ([7], 0)


@pytest.mark.parametrize("left_ns", [26, 24])
def test_who_leaves_before_has_not_caught_up(left_ns: int):
    held = {b"1": {A: 15, B: 27}, b"2": {A: 16, B: 25}}
    assert find_catch_ups_ns(*make_history({B: [10, 20, left_ns]}, held)) == ([], 1)


def test_who_never_gets_a_vertex_has_not_caught_up():
    assert find_catch_ups_ns(*make_history({B: [10, 20]}, {b"1": {A: 15}})) == ([], 1)


def test_return_to_nothing_new_is_not_counted():
    held = {b"1": {A: 5, B: 6}}
    assert find_catch_ups_ns(*make_history({B: [10, 20]}, held)) == ([], 0)
    away = {b"1": {A: 15}}
    assert find_catch_ups_ns(*make_history({A: [16], B: [10, 20]}, away)) == ([], 0)
