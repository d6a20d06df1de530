"""Campaigns: their files, their sums, and their pools."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from simulations.fuzzing import campaign
from simulations.fuzzing.campaign import (
    REACHED_FROM,
    Summary,
    run_all,
    select,
)
from simulations.fuzzing.result_file import ResultFile
from simulations.fuzzing.run import Result
from simulations.fuzzing.sometimes import STATES
from simulations.fuzzing.spec import draw_spec


def make_result(seed: int = 0, **changes: object) -> Result:
    fields: dict[str, object] = {
        "seed": seed,
        "nodes": 4,
        "fidelity": "objects",
        "kinds": ("crash", "cut", "pause"),
        "faults": 3,
        "digest": "00",
        "events": 10,
        "virtual_ms": 20,
        "agreed_ms": 5,
        "vertices": 200,
        "reached": STATES,
    }
    return msgspec.convert({**fields, **changes}, Result)


def test_results_are_appended_and_a_torn_line_is_run_again(tmp_path: Path):
    path = tmp_path / "results.jsonl"
    assert list(ResultFile(path, Result).known.values()) == []
    results = ResultFile(path, Result)
    for seed in range(3):
        results.add(make_result(seed))
    path.write_bytes(path.read_bytes()[:-9])
    known = ResultFile(path, Result).known
    assert sorted(known) == [0, 1]
    assert known[1] == make_result(1)
    assert [spec.seed for spec in select([draw_spec(seed) for seed in range(3)], known)] == [2]


def test_results_without_a_file_are_not_kept():
    results = ResultFile(None, Result)
    results.add(make_result())
    assert results.known == {}


def test_summary_is_clean_when_nothing_broke_and_all_was_reached():
    summary = Summary()
    assert summary.is_clean
    for seed in range(REACHED_FROM):
        summary.add(make_result(seed, agreed_ms=seed))
    assert summary.is_clean
    assert (summary.runs, summary.events, summary.vertices_min) == (50, 500, 200)
    assert (summary.agreed_ms_max, summary.kinds_min, summary.kinds["cut"]) == (49, 3, 50)


def test_summary_is_not_clean_after_a_violation():
    summary = Summary()
    summary.add(make_result(1, check="liveness", message="stuck", vertices=0))
    assert not summary.is_clean
    assert summary.failed == [(1, "liveness", "stuck")]


def test_summary_is_not_clean_when_a_state_was_never_reached():
    summary = Summary()
    for seed in range(REACHED_FROM - 1):
        summary.add(make_result(seed, reached=STATES[1:]))
    assert summary.is_clean
    summary.add(make_result(49, reached=STATES[1:]))
    assert summary.missed == (STATES[0],)
    assert not summary.is_clean


def test_summary_is_not_clean_when_runs_were_too_easy():
    for change in ({"vertices": 199}, {"kinds": ("crash",)}):
        summary = Summary()
        summary.add(make_result(**change))
        assert not summary.is_clean


def test_pool_gives_what_a_single_process_gives():
    specs = [draw_spec(seed) for seed in (9, 15)]
    alone = list(run_all(specs, 1))
    pooled = sorted(run_all(specs, 2), key=lambda result: result.seed)
    assert pooled == alone


def test_a_run_that_raises_is_a_violation(monkeypatch: pytest.MonkeyPatch):
    def fail(spec: object) -> Result:
        raise ZeroDivisionError("unlucky")

    monkeypatch.setattr(campaign, "run", fail)
    (result,) = run_all([draw_spec(9)], 1)
    assert (result.seed, result.check) == (9, "raised")
    assert result.message == "ZeroDivisionError: unlucky"
