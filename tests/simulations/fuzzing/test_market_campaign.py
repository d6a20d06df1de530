"""Campaigns over markets: what they count, and what they demand of themselves."""

from __future__ import annotations

import msgspec
import pytest

from simulations.folding.spec import draw_spec
from simulations.fuzzing import runs
from simulations.fuzzing.market import Result
from simulations.fuzzing.market_campaign import REACHED_FROM, STATES, Summary, run_all
from simulations.sweeps.engines import Attempt, Failure

RESULT = Result(
    seed=1,
    kinds=("join", "lag", "torn"),
    digest="00",
    events=10,
    commits=30,
    trades=4,
    virtual_ms=20,
    reached=("sent", "staked"),
)


def make(**changes: object) -> Result:
    return msgspec.structs.replace(RESULT, **changes)


def test_summary_counts_and_judges():
    summary = Summary()
    assert summary.is_clean
    summary.add(RESULT)
    summary.add(make(seed=2, reached=("sent",)))
    assert summary.is_clean
    assert (summary.runs, summary.commits, summary.trades, summary.events) == (2, 60, 8, 20)
    assert summary.reached == {"sent": 2, "staked": 1}
    summary.add(make(seed=3, check="P5 money", message="lost"))
    assert not summary.is_clean
    assert summary.failed == [(3, "P5 money", "lost")]


def test_long_campaign_has_to_have_seen_everything():
    summary = Summary()
    for seed in range(REACHED_FROM):
        summary.add(make(seed=seed))
    assert "minted" in summary.missed
    assert not summary.is_clean
    summary.add(make(reached=STATES))
    assert summary.missed == ()
    assert summary.is_clean


def test_run_with_too_little_trouble_is_not_clean():
    summary = Summary()
    summary.add(make(kinds=("lag", "torn")))
    assert not summary.is_clean


def test_runs_in_this_process_give_their_results():
    specs = [msgspec.structs.replace(draw_spec(seed), commits=3) for seed in (4, 9)]
    assert [result.seed for result in run_all(specs, 1)] == [4, 9]


def test_run_that_raises_is_a_violation(monkeypatch: pytest.MonkeyPatch):
    class Engine:
        def map_tasks(self, _function: object, specs: list[object]) -> object:
            yield from (Attempt(spec, Failure(message="lost")) for spec in specs)

    monkeypatch.setattr(runs, "make_local_engine", lambda _workers: Engine())
    (result,) = run_all([draw_spec(4)], 1)
    assert (result.seed, result.check, result.message) == (4, "raised", "lost")
