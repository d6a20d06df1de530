"""The checker: what makes a history invalid, and how latencies are measured."""

from __future__ import annotations

from simulations.maelstrom.checker import SHOWN_MAX, check
from simulations.maelstrom.history import Operation


def add(value, begun_ms, ended_ms, outcome="ok"):
    return Operation("add", "n1", begun_ms, value, ended_ms, outcome)


def read(values, begun_ms, ended_ms, *, node="n1", outcome="ok", is_final=False):
    return Operation("read", node, begun_ms, -1, ended_ms, outcome, tuple(values), is_final)


def test_history_is_valid_when_every_value_reaches_every_node():
    verdict = check(
        [
            add(0, 0, 10),
            add(1, 5, 20),
            read([0], 8, 12),
            read([0, 1], 100, 110, is_final=True),
            read([1, 0], 100, 110, node="n2", is_final=True),
        ]
    )
    assert verdict.is_valid
    assert (verdict.operations, verdict.acknowledged) == (5, 2)


def test_nothing_at_all_is_valid():
    verdict = check([])
    assert verdict.is_valid and verdict.stable_max_ms == 0


def test_acknowledged_value_is_lost_when_one_final_read_lacks_it():
    verdict = check(
        [
            add(0, 0, 10),
            read([0], 50, 60, is_final=True),
            read([], 50, 60, node="n2", is_final=True),
        ]
    )
    assert verdict.lost == (0,) and not verdict.is_valid


def test_value_that_was_read_once_is_lost_when_it_is_gone_though_never_acknowledged():
    verdict = check([add(0, 0, 10, "unknown"), read([0], 5, 6), read([], 50, 60, is_final=True)])
    assert verdict.lost == (0,) and verdict.unknown == 1


def test_unknown_value_may_stay_away():
    assert check([add(0, 0, 10, "unknown"), read([], 50, 60, is_final=True)]).is_valid


def test_value_is_a_phantom_when_nobody_has_added_it_by_then():
    verdict = check(
        [
            add(0, 50, 60),
            add(1, 0, 1, "failed"),
            read([0], 10, 20),
            read([1], 30, 40),
            read([7], 30, 40),
        ]
    )
    assert verdict.phantoms == (0, 1, 7)
    assert verdict.refused == 1


def test_value_is_a_duplicate_when_one_read_shows_it_twice():
    verdict = check([add(0, 0, 1), read([0, 0], 10, 20)])
    assert verdict.duplicates == (0,) and not verdict.is_valid


def test_node_without_a_final_read_makes_the_history_invalid():
    verdict = check([read([], 10, 20, node="n2", outcome="unknown", is_final=True)])
    assert verdict.unread == ("n2",) and not verdict.is_valid


def test_stable_latency_lasts_from_known_to_the_last_read_that_does_not_show_it():
    verdict = check(
        [
            add(0, 0, 10),
            read([], 5, 400),  # began before the value was known
            add(1, 0, 100),
            read([1], 20, 30),  # known from here on, not from the acknowledgement
            read([0], 79, 85),
            read([0, 1], 90, 95, is_final=True),
        ]
    )
    # 0: last missing at 20, known at 10; 1: last missing at 79, known at 30.
    assert verdict.stable_median_ms == 11
    assert verdict.stable_p95_ms == verdict.stable_max_ms == 50


def test_verdict_names_a_few_mistakes_only():
    history = [add(value, 0, 1) for value in range(100)]
    history.append(read([], 10, 20, is_final=True))
    assert check(history).lost == tuple(range(SHOWN_MAX))
