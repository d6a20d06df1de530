"""When a node turns to which rendezvous point."""

from __future__ import annotations

import pytest

from meshnode.core.entropy import Entropy
from meshnode.core.visiting import DECLINED_MS, MOST_MS, MOVED_MS, POINTS_MAX, REFRESH_MS, Visits


@pytest.fixture
def visits():
    return Visits(Entropy(bytes(32)))


def test_new_point_is_due_at_once_and_not_twice(visits):
    assert visits.next_deadline() is None
    assert visits.add(5, "peer", ("/a",), named=True)
    assert visits.next_deadline() == 5
    assert [point.peer for point in visits.take_due(5)] == ["peer"]
    assert visits.take_due(5) == []
    assert visits.next_deadline() is None


def test_points_are_bounded_and_known_ones_learn_addresses(visits):
    for number in range(POINTS_MAX):
        assert visits.add(0, str(number), ("/a",))
    assert not visits.add(0, "one more", ("/a",))
    assert visits.add(0, "0", ("/b",), named=True)
    first = visits.points[0]
    assert (first.addresses, first.named) == (("/b", "/a"), True)


def test_visit_that_went_well_is_repeated_before_the_record_expires(visits):
    visits.add(0, "peer", ("/a",))
    (point,) = visits.take_due(0)
    visits.succeeded(10, point, "3 records")
    assert point.result == "3 records"
    due_ms = visits.next_deadline()
    assert REFRESH_MS * 4 // 5 <= due_ms - 10 <= REFRESH_MS * 6 // 5


def test_failures_back_off_to_a_minute_and_a_success_ends_that(visits):
    visits.add(0, "peer", ("/a",))
    now_ms, waits = 0, []
    for _ in range(9):
        (point,) = visits.take_due(now_ms)
        visits.failed(now_ms, point, "refused")
        waits.append(visits.next_deadline() - now_ms)
        now_ms = visits.next_deadline()
    assert waits[0] <= 1_200
    assert all(wait <= MOST_MS * 6 // 5 for wait in waits)
    assert waits[-1] >= MOST_MS * 4 // 5
    visits.hurry(now_ms - 1)
    assert visits.next_deadline() == now_ms
    (point,) = visits.take_due(now_ms)
    visits.succeeded(now_ms, point, "ok")
    assert point.back_off_ms == 0


def test_peer_that_is_no_point_is_left_alone_for_long(visits):
    visits.add(0, "peer", ("/a",))
    (point,) = visits.take_due(0)
    visits.declined(0, point)
    assert visits.next_deadline() >= DECLINED_MS * 4 // 5
    visits.hurry(1)
    assert visits.next_deadline() >= DECLINED_MS * 4 // 5


def test_lonely_node_turns_at_once_to_points_that_answered(visits):
    visits.add(0, "peer", ("/a",))
    (point,) = visits.take_due(0)
    visits.succeeded(0, point, "ok")
    visits.hurry(100)
    assert visits.next_deadline() == 100


def test_changed_addresses_are_told_soon(visits):
    visits.add(0, "peer", ("/a",))
    (point,) = visits.take_due(0)
    visits.succeeded(0, point, "ok")
    visits.moved(100)
    assert visits.next_deadline() == 100 + MOVED_MS
