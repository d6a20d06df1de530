"""Runs are functions of their spec, and tell what they broke."""

from __future__ import annotations

import msgspec
import pytest

from market.deadlines import Deadlines
from market.state import MarketState
from simulations.folding import run as module
from simulations.folding.run import simulate
from simulations.folding.spec import KINDS, Spec

SMALL = Spec(seed=1, copies=3, commits=25, talk=4, kinds=KINDS)


def test_run_is_clean_and_the_same_for_its_spec():
    result = simulate(SMALL)
    assert result == simulate(SMALL)
    assert result.is_clean
    assert result.message == ""
    assert result.kinds == tuple(sorted(KINDS))
    assert result.commits > 25
    assert result.events > 25
    assert {"order_placed", "refused", "staked"} <= set(result.reached)


def test_copy_that_is_alone_can_join_nobody():
    result = simulate(msgspec.structs.replace(SMALL, copies=1, kinds=("join",)))
    assert result.is_clean
    assert result.kinds == ()


def test_another_root_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MarketState, "root", lambda self: id(self).to_bytes(8, "big"))
    result = simulate(SMALL)
    assert result.check == "P12 root"
    assert "has another root at commit" in result.message


def test_other_events_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(MarketState, "events", property(lambda self: (), None))
    assert simulate(SMALL).check == ""
    monkeypatch.undo()
    right = MarketState.apply

    def apply(self, commit, vertices):
        right(self, commit, vertices)
        self._parts.trail._events += [] if isinstance(vertices, tuple) else [None]

    monkeypatch.setattr(MarketState, "apply", apply)
    assert simulate(SMALL).check == "P12 events"


def test_market_that_raises_is_told(monkeypatch: pytest.MonkeyPatch):
    def fail(_self, _time_ms):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(Deadlines, "take_due", fail)
    with pytest.raises(ZeroDivisionError):  # before the run begins to look
        simulate(SMALL)


def test_market_that_raises_later_is_told(monkeypatch: pytest.MonkeyPatch):
    def fail(_self):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(MarketState, "next_deadline", fail)
    result = simulate(SMALL)
    assert (result.check, result.message) == ("raised-ZeroDivisionError", "by zero")


def test_end_that_never_comes_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "END_COMMITS_MAX", 1)
    result = simulate(SMALL)
    assert result.check == "end"
    assert "is due after 1 commits more" in result.message
