"""Campaigns over committees: what they count, keep and resume."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulations.consensus.spec import draw_spec
from simulations.fuzzing import runs
from simulations.fuzzing.order import Result
from simulations.fuzzing.order_campaign import Summary, run_all
from simulations.fuzzing.result_file import ResultFile
from simulations.sweeps.engines import Attempt, Failure

RESULT = Result(
    seed=1,
    members=4,
    profile="bft3",
    kinds=("a", "b", "c"),
    digest="00",
    events=10,
    virtual_ms=20,
    rounds=40,
    commits=30,
    settled_ms=5,
)


def make(**changes: object) -> Result:
    return msgspec.structs.replace(RESULT, **changes)


def test_summary_counts_and_judges():
    summary = Summary()
    assert summary.is_clean
    summary.add(RESULT)
    summary.add(make(seed=2, rounds=35, kinds=("a", "b", "d"), settled_ms=9, profile="cft"))
    assert summary.is_clean
    assert (summary.runs, summary.rounds_min, summary.settled_ms_max) == (2, 35, 9)
    assert summary.kinds == {"a": 2, "b": 2, "c": 1, "d": 1}
    assert summary.profiles == {"bft3": 1, "cft": 1}
    summary.add(make(seed=3, check="I1 slot", message="two ways"))
    assert not summary.is_clean
    assert summary.failed == [(3, "I1 slot", "two ways")]


@pytest.mark.parametrize("changes", [{"rounds": 29}, {"kinds": ("a", "b")}])
def test_runs_that_show_too_little_are_not_clean(changes: dict[str, object]):
    summary = Summary()
    summary.add(make(**changes))
    assert not summary.is_clean


def test_results_are_kept_and_a_torn_line_is_left_out(tmp_path: Path):
    path = tmp_path / "order.jsonl"
    ResultFile(None, Result).add(RESULT)
    file = ResultFile(path, Result)
    file.add(RESULT)
    file.add(make(seed=2))
    path.write_bytes(path.read_bytes()[:-20])
    assert ResultFile(path, Result).known == {1: RESULT}


def test_runs_in_this_process_give_their_results():
    specs = [draw_spec(seed) for seed in (4, 9)]
    assert [result.seed for result in run_all(specs, 1)] == [4, 9]


def test_run_that_raises_is_a_violation(monkeypatch: pytest.MonkeyPatch):
    class Engine:
        def map_tasks(self, _function: object, specs: list[object]) -> object:
            yield from (Attempt(spec, Failure(message="lost")) for spec in specs)

    monkeypatch.setattr(runs, "make_local_engine", lambda _workers: Engine())
    (result,) = run_all([draw_spec(4)], 1)
    assert (result.seed, result.check, result.message) == (4, "raised", "lost")
