"""A peer is sent a store a few times, whatever it says it lacks."""

from __future__ import annotations

from meshnode.core.sync_budget import (
    HEADS_BURST,
    HEADS_GAP_MS,
    PEERS_MAX,
    PERIOD_MS,
    STORES_MAX,
    VERTICES_MIN,
    SyncBudget,
)

IDS = [number.to_bytes(32, "big") for number in range(2_000)]
NOW_MS = 1_700_000_000_000


def test_heads_are_answered_at_the_rate_at_which_honest_peers_ask():
    budget = SyncBudget()
    assert [budget.may_answer(NOW_MS, "a") for _ in range(HEADS_BURST + 1)][-2:] == [True, False]
    assert budget.may_answer(NOW_MS, "b")
    for second in range(1, 100):
        assert budget.may_answer(NOW_MS + 1_000 * second, "b")
    assert budget.may_answer(NOW_MS + HEADS_GAP_MS, "a")
    assert not budget.may_answer(NOW_MS + HEADS_GAP_MS, "a")


def test_store_is_sent_a_few_times_and_then_no_more():
    budget = SyncBudget()
    for _ in range(STORES_MAX):
        assert budget.grant(NOW_MS, "a", IDS, held=len(IDS)) == tuple(IDS)
    assert budget.grant(NOW_MS, "a", IDS, held=len(IDS)) == ()
    assert budget.grant(NOW_MS, "b", IDS, held=len(IDS)) == tuple(IDS)


def test_small_store_counts_as_a_larger_one():
    budget = SyncBudget()
    sent = sum(len(budget.grant(NOW_MS, "a", IDS[:10], held=10)) for _ in range(1_000))
    assert sent == STORES_MAX * VERTICES_MIN


def test_what_was_sent_is_forgiven_little_by_little():
    budget = SyncBudget()
    for _ in range(STORES_MAX):
        budget.grant(NOW_MS, "a", IDS, held=len(IDS))
    now_ms, sent = NOW_MS, 0
    for _ in range(1_000):
        now_ms += PERIOD_MS // 1_000
        sent += len(budget.grant(now_ms, "a", IDS[:100], held=len(IDS)))
    assert sent == STORES_MAX * len(IDS)
    assert budget.grant(now_ms + 1, "a", IDS, held=len(IDS)) == ()
    assert budget.grant(now_ms + PERIOD_MS, "a", IDS, held=len(IDS)) == tuple(IDS)


def test_no_more_peers_are_remembered_than_there_is_room_for():
    budget = SyncBudget()
    for _ in range(HEADS_BURST):
        budget.may_answer(NOW_MS, "first")
    for number in range(PEERS_MAX):
        budget.may_answer(NOW_MS, str(number))
    assert budget.may_answer(NOW_MS, "first")
