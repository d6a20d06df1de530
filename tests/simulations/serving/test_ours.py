"""Our router behind the simulation's port: told what a node is told, and asked as a node asks."""

from __future__ import annotations

import random

from simulations.serving.ours import Ours
from simulations.serving.port import Attempt, Placement, Refusal, Status
from simulations.serving.traces import Request

REQUEST = Request(0, 0, 4_096, 10, (1, 2, 3, 4, 5, 6, 7, 8))


def make(replicas: int = 2) -> Ours:
    ours = Ours(replicas, random.Random(1))
    for replica in range(replicas):
        ours.on_status(0, replica, Status(1, 8, 0, 0, 0, 0.0, 0.0), 50.0)
    return ours


def send(ours: Ours, where: Placement | Refusal, number: int = 0, now_ms: int = 0) -> Attempt:
    assert isinstance(where, Placement)
    attempt = Attempt(number, REQUEST, where.replica, now_ms, where.token)
    ours.on_sent(now_ms, attempt)
    return attempt


def test_least_loaded_replica_is_chosen():
    ours = make()
    ours.on_status(10, 0, Status(2, 8, 7, 0, 90_000, 0.5, 0.0), None)
    where = ours.choose(10, REQUEST, 60_000)
    assert isinstance(where, Placement)
    assert where.replica == 1


def test_digest_draws_a_prompt_to_who_holds_it():
    ours = make()
    ours.on_digest(0, 1, REQUEST.blocks, ())
    attempt = send(ours, ours.choose(0, REQUEST, 60_000))
    assert attempt.replica == 1
    assert attempt.miss_tokens < 4_096


def test_answer_is_learned_from():
    ours = make()
    attempt = send(ours, ours.choose(0, REQUEST, 60_000))
    ours.on_first(900, attempt)
    ours.on_end(1_500, attempt)
    assert ours.count() == {}


def test_cancelled_attempt_is_over():
    ours = make(1)
    attempt = send(ours, ours.choose(0, REQUEST, 60_000))
    ours.on_cancelled(100, attempt)
    where = ours.hedge(200, attempt, (0,))
    assert isinstance(where, Refusal)


def test_late_attempt_may_be_hedged_elsewhere():
    ours = make()
    delays = []
    for number in range(60):
        where = ours.choose(number * 1_000, REQUEST, 60_000)
        assert isinstance(where, Placement)
        attempt = Attempt(number, REQUEST, where.replica, number * 1_000, where.token)
        delays.append(ours.on_sent(number * 1_000, attempt))
        ours.on_first(number * 1_000 + 500, attempt)
        ours.on_end(number * 1_000 + 800, attempt)
        for replica in range(2):
            ours.on_status(number * 1_000, replica, Status(number + 2, 8, 0, 0, 0, 0, 0), None)
    assert delays[0] is None
    assert delays[-1] is not None
    attempt = send(ours, ours.choose(60_000, REQUEST, 60_000), 99, 60_000)
    where = ours.hedge(62_000, attempt, (attempt.replica,))
    assert isinstance(where, Placement)
    assert where.replica != attempt.replica


def test_limit_is_counted_as_an_obstacle_and_no_breaker_opens():
    ours = make()
    attempt = send(ours, ours.choose(0, REQUEST, 60_000))
    ours.on_failed(100, attempt, "rate_limited", 5_000)
    where = ours.retry(100, attempt, "rate_limited", (), 59_900)
    assert isinstance(where, Placement)
    assert where.replica != attempt.replica
    ours.choose(200, REQUEST, 60_000)
    assert ours.count() == {"cooldown": 1}


def test_silent_replica_is_lost_once_others_do_not_reach_it_either():
    ours = make()
    for second in range(1, 10):
        for replica in range(2):
            ours.on_status(second * 1_000, replica, Status(second + 1, 8, 0, 0, 0, 0, 0), 50.0)
    for second in range(10, 25):
        ours.on_status(second * 1_000, 1, Status(second + 1, 8, 0, 0, 0, 0, 0), 50.0)
    assert ours.find_silent(24_000) == [0]
    assert ours.find_lost(24_000) == []
    for _ in range(3):
        ours.on_witness(24_000, 0, False)
    assert ours.find_lost(24_000) == [0]
    ours.on_witness(24_100, 0, True)
    assert ours.find_lost(24_100) == []


def test_nobody_left_is_a_refusal():
    ours = make(1)
    assert isinstance(ours.choose(60_000, REQUEST, 60_000), Refusal)
