"""What is decided ahead of the sequence: equal for all, and never taken back."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from consensus.decision import Decision, Slot, Status
from simulations.consensus import settled as settled_module
from simulations.consensus.settled import Settled
from simulations.errors import CheckFailed

FIRST, SECOND = Slot(3, 0), Slot(4, 0)


def make_validator(*pending: Decision, index: int = 0, cursor: Slot | None = None):
    """One that has these slots behind its cursor."""
    ordering = SimpleNamespace(cursor=cursor or Slot(2, 0), list_pending=lambda: pending)
    return SimpleNamespace(ordering=ordering, context=SimpleNamespace(index=index), life=0)


def say(slot: Slot, status: Status) -> Decision:
    return Decision(slot, 1, status)


def test_growing_views_that_agree_break_nothing():
    settled = Settled(0)
    settled.check(make_validator(say(FIRST, Status.UNDECIDED)), 0)
    settled.check(make_validator(say(FIRST, Status.SKIP)), 0)
    settled.check(make_validator(say(FIRST, Status.SKIP), say(SECOND, Status.SKIP)), 0)
    settled.check(make_validator(say(SECOND, Status.SKIP), cursor=SECOND), 1)
    settled.check(make_validator(say(FIRST, Status.SKIP), index=1), 0)


def test_decision_that_is_open_again_is_found():
    settled = Settled(0)
    settled.check(make_validator(say(FIRST, Status.SKIP)), 0)
    with pytest.raises(CheckFailed, match="was decided and is open again"):
        settled.check(make_validator(say(FIRST, Status.UNDECIDED)), 0)


def test_decision_that_changes_is_found_at_the_same_and_at_another():
    for index in (0, 1):
        settled = Settled(0)
        settled.check(make_validator(say(FIRST, Status.SKIP)), 0)
        with pytest.raises(CheckFailed, match="is decided in two ways ahead"):
            settled.check(make_validator(say(FIRST, Status.COMMIT), index=index), 0)


def test_choice_of_leaders_begins_anew():
    settled = Settled(5)
    settled.check(make_validator(say(FIRST, Status.SKIP)), 4)
    settled.check(make_validator(say(FIRST, Status.COMMIT)), 5)


def test_many_undecided_slots_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settled_module, "PENDING_MAX", 0)
    with pytest.raises(CheckFailed, match="1 slots are undecided"):
        Settled(0).check(make_validator(say(FIRST, Status.UNDECIDED)), 0)
