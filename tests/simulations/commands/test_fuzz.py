"""`fuzz`: what a campaign says, saves and resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.commands import fuzz
from simulations.commands.program import main
from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import Spec, draw_spec, load_spec
from tests.support.fuzz_results import make_result

pytestmark = pytest.mark.usefixtures("quick")


def test_fuzz_is_clean_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = tmp_path / "results.jsonl"
    arguments = ["fuzz", "--seeds", "2", "--first-seed", "15", "--results", str(results)]
    assert main(arguments) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("seeds 15 to 16")
    assert last.startswith("clean: 2 runs, 0 violations")
    before = results.read_bytes()
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["runs"], document["violations"], document["interrupted"]) == (2, 0, False)
    assert results.read_bytes() == before


def test_fuzz_says_what_broke_and_saves_its_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["fuzz", "--seeds", "5", "--failures", str(tmp_path / "plans")]) == 1
    out, err = capsys.readouterr()
    assert "NOT clean: 5 runs, 1 violations" in out
    assert "seed 3: liveness: broken" in err
    assert load_spec(tmp_path / "plans/failure-3.jsonl") == draw_spec(3)


def test_fuzz_saves_a_bounded_number_of_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fuzz, "FAILURES_SAVED_MAX", 0)
    assert main(["fuzz", "--seeds", "5", "--failures", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []


def test_fuzz_names_states_never_reached(capsys: pytest.CaptureFixture[str]):
    assert main(["fuzz", "--seeds", "50", "--first-seed", "10"]) == 1
    assert "never reached: crashed" in capsys.readouterr().out


def test_fuzz_keeps_what_is_done_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def run_all(specs: list[Spec], _workers: int) -> Iterator[Result]:
        yield make_result(specs[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(fuzz, "run_all", run_all)
    results = tmp_path / "results.jsonl"
    assert main(["fuzz", "--seeds", "5", "--results", str(results)]) == 130
    assert "interrupted: 1 runs" in capsys.readouterr().out
    assert len(results.read_text().splitlines()) == 1
