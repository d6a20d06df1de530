"""When to send again."""

from __future__ import annotations

from simulations.maelstrom.retransmission import (
    RTO_FIRST_MS,
    RTO_MOST_MS,
    RTO_SLACK_MS,
    Retransmission,
)


def test_timer_runs_from_its_start_and_ends_when_nothing_is_left():
    timer = Retransmission()
    assert not timer.is_set and not timer.is_due(10**9)
    timer.start(100)
    assert timer.due_ms == 100 + RTO_FIRST_MS and timer.is_set
    assert not timer.is_due(timer.due_ms - 1) and timer.is_due(timer.due_ms)
    timer.note_progress(200, 1, is_idle=True)
    assert not timer.is_set


def test_timer_doubles_with_each_loss_up_to_a_limit():
    timer = Retransmission()
    timer.start(0)
    waits_ms = []
    for _ in range(4):
        due_ms = timer.due_ms
        timer.back_off(due_ms)
        waits_ms.append(timer.due_ms - due_ms)
    assert waits_ms == [2 * RTO_FIRST_MS, RTO_MOST_MS, RTO_MOST_MS, RTO_MOST_MS]
    assert timer.is_probing
    timer.note_progress(10**6, 1, is_idle=True)
    assert not timer.is_probing


def test_timer_follows_the_round_trip_and_keeps_a_slack():
    timer = Retransmission()
    now_ms = 0
    for number in range(1, 50):
        timer.note_sent(now_ms, number)
        timer.note_sent(now_ms + 5, number)  # the first is the one that counts
        now_ms += 80
        timer.note_progress(now_ms, number, is_idle=False)
    assert timer.due_ms - now_ms == 80 + RTO_SLACK_MS
    timer.note_sent(now_ms, 50)
    timer.note_progress(now_ms + 40, 50, is_idle=False)
    assert timer.due_ms - now_ms - 40 < 80 + RTO_SLACK_MS


def test_timer_learns_nothing_from_what_was_sent_twice():
    timer = Retransmission()
    timer.note_sent(0, 1)
    timer.back_off(1_000)
    timer.note_progress(9_000, 1, is_idle=False)
    assert timer.due_ms == 9_000 + RTO_MOST_MS  # doubled, not smoothed
