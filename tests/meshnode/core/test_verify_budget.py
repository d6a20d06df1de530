"""A peer has a budget of signatures checked in vain; once it is spent its pushes are not read."""

from __future__ import annotations

from meshnode.core.verify_budget import AUTHORS_MAX, BURST, DEBT_MAX, GAP_MS, VerifyBudget

NOW_MS = 1_700_000_000_000
AUTHOR = bytes(32)


def spend(budget: VerifyBudget, count: int, peer: str = "a", now_ms: int = NOW_MS) -> None:
    for _ in range(count):
        budget.note_useless(now_ms, peer, AUTHOR)


def test_budget_is_spent_after_its_burst():
    budget = VerifyBudget()
    spend(budget, BURST - 1)
    assert not budget.is_spent("a")
    spend(budget, 1)
    assert budget.is_spent("a")
    assert not budget.is_spent("b")


def test_pushes_are_read_again_once_there_is_something_to_spend():
    budget = VerifyBudget()
    spend(budget, BURST)
    budget.note_unread(NOW_MS + GAP_MS - 1, "a", AUTHOR)
    assert budget.is_spent("a")
    budget.note_unread(NOW_MS + GAP_MS, "a", AUTHOR)
    assert not budget.is_spent("a")


def test_what_was_read_beyond_is_paid_back_first_up_to_a_bound():
    budget = VerifyBudget()
    spend(budget, BURST + DEBT_MAX // 2)
    budget.note_unread(NOW_MS + GAP_MS * DEBT_MAX // 2, "a", AUTHOR)
    assert budget.is_spent("a")
    spend(budget, 10_000)
    budget.note_unread(NOW_MS + GAP_MS * (DEBT_MAX + 2), "a", AUTHOR)
    assert not budget.is_spent("a")


def test_authors_cost_is_remembered_beyond_the_connection():
    budget = VerifyBudget()
    spend(budget, BURST)
    budget.drop_peer("a")
    assert not budget.is_spent("a")
    spend(budget, 1, "again")
    assert budget.is_spent("again")


def test_number_of_remembered_authors_is_bounded():
    budget = VerifyBudget()
    spend(budget, BURST)
    for number in range(1, AUTHORS_MAX + 1):
        budget.note_useless(NOW_MS, "b", number.to_bytes(32, "big"))
    budget.drop_peer("a")
    spend(budget, 1)
    assert not budget.is_spent("a")
