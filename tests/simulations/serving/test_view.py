"""What a baseline knows of its replicas, and when it stops asking them."""

from __future__ import annotations

from simulations.serving.port import Attempt, Failure, Status
from simulations.serving.traces import Request
from simulations.serving.view import FAILURE_MS, LOST_MS, View

REQUEST = Request(0, 0, 2_000, 10, (1, 2, 3, 4))


def make_status(sequence: int, running: int = 0, tokens: int = 0) -> Status:
    return Status(sequence, 8, running, 0, tokens, 0.0, 0.0)


def send(view: View, number: int, replica: int = 0, sent_ms: int = 0) -> Attempt:
    attempt = Attempt(number, REQUEST, replica, sent_ms)
    view.on_sent(attempt)
    return attempt


def fail(view: View, failure: Failure, retry_after_ms: int = 0, now_ms: int = 0) -> None:
    view.on_failed(now_ms, send(view, 1), failure, retry_after_ms)


def test_own_requests_count_until_a_report_can_know_them():
    view = View(2)
    view.on_status(0, 0, make_status(1, running=3, tokens=500), 50.0)
    attempt = send(view, 1, sent_ms=100)
    assert view.count_requests(0) == 4
    assert view.count_tokens(0) == 2_500
    view.on_status(120, 0, make_status(2, running=3, tokens=500), None)
    assert view.count_requests(0) == 4
    view.on_status(400, 0, make_status(3, running=4, tokens=700), None)
    assert view.count_requests(0) == 4
    assert view.count_tokens(0) == 700
    view.on_over(attempt)
    assert view.count_requests(0) == 4
    assert view.count_requests(1) == 0


def test_older_reports_are_dropped():
    view = View(1)
    view.on_status(0, 0, make_status(5, running=3), None)
    view.on_status(0, 0, make_status(4, running=9), None)
    assert view.count_requests(0) == 3


def test_round_trips_are_a_running_mean():
    view = View(1)
    for _ in range(50):
        view.on_status(0, 0, make_status(1), 200.0)
    assert 199 < view.rtt_ms[0] <= 200


def test_digest_says_what_need_not_be_computed():
    view = View(2)
    view.on_digest(0, [1, 2, 3], [])
    assert view.count_miss(0, REQUEST) == 2_000 - 3 * 512
    view.on_digest(0, [], [2])
    assert view.count_miss(0, REQUEST) == 2_000 - 512
    assert view.count_miss(1, REQUEST) == 2_000
    view.on_digest(1, [1, 2, 3, 4], [])
    assert view.count_miss(1, REQUEST) == 1


def test_replica_that_failed_is_passed_over_for_a_while():
    view = View(2)
    fail(view, "unreachable")
    assert view.list_usable(0) == [1]
    assert view.list_usable(FAILURE_MS) == [0, 1]
    assert view.list_usable(0, tried=[1]) == [0]


def test_refusal_is_believed():
    view = View(2)
    fail(view, "refused", retry_after_ms=9_000)
    assert view.list_usable(8_999) == [1]
    assert view.list_usable(9_000) == [0, 1]


def test_silent_replica_is_lost_until_it_is_heard():
    view = View(2)
    view.on_status(LOST_MS, 1, make_status(1), None)
    assert view.list_usable(LOST_MS + 1) == [1]
    assert view.find_lost(LOST_MS + 1) == [0]
    assert view.list_usable(LOST_MS + 1, tried=[1]) == [0]
    view.on_status(LOST_MS + 1, 0, make_status(1), None)
    assert view.find_lost(LOST_MS + 1) == []
