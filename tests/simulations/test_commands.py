"""The simulator's command line, from its arguments to its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations import commands
from simulations.commands import main
from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import Spec, draw_spec, load_spec, save_spec


def make_result(spec: Spec, check: str = "") -> Result:
    return Result(
        seed=spec.seed,
        nodes=spec.nodes,
        fidelity=spec.fidelity,
        kinds=("a", "b", "c"),
        faults=len(spec.faults),
        check=check,
        message=f"{check}: broken" if check else "",
        digest="00",
        events=10,
        virtual_ms=20,
        agreed_ms=5,
        vertices=200,
        reached=(),
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch):
    """Runs that cost nothing; seed 3 is broken while any of its faults is left."""

    def run(spec: Spec) -> Result:
        return make_result(spec, "liveness" if spec.seed == 3 and spec.faults else "")

    def run_all(specs: list[Spec], workers: int) -> Iterator[Result]:
        assert workers > 0
        yield from map(run, specs)

    monkeypatch.setattr(commands, "run", run)
    monkeypatch.setattr("simulations.fuzzing.shrink.run", run)
    monkeypatch.setattr("simulations.fuzzing.mutation.run", run)
    monkeypatch.setattr(commands, "run_all", run_all)


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
    assert main(["fuzz", "--seeds", "5", "--failures", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "NOT clean: 5 runs, 1 violations" in out
    assert "seed 3: liveness: broken" in err
    assert load_spec(tmp_path / "failure-3.jsonl") == draw_spec(3)


def test_fuzz_saves_a_bounded_number_of_plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commands, "FAILURES_SAVED_MAX", 0)
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

    monkeypatch.setattr(commands, "run_all", run_all)
    results = tmp_path / "results.jsonl"
    assert main(["fuzz", "--seeds", "5", "--results", str(results)]) == 130
    assert "interrupted: 1 runs" in capsys.readouterr().out
    assert len(results.read_text().splitlines()) == 1


def test_replay_tells_how_a_plan_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(3), path)
    assert main(["replay", str(path)]) == 1
    assert "broken: liveness" in capsys.readouterr().out
    save_spec(draw_spec(4), path)
    assert main(["replay", str(path)]) == 0
    assert "clean: 10 events" in capsys.readouterr().out
    assert main(["replay", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4


def test_shrink_writes_the_small_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(3), path)
    assert main(["shrink", str(path)]) == 1
    assert "shrunk to 1:" in capsys.readouterr().out
    assert len(load_spec(tmp_path / "plan.small.jsonl").faults) == 1


def test_what_cannot_be_done_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(4), path)
    assert main(["shrink", str(path)]) == 2
    assert "breaks no promise" in capsys.readouterr().err
    assert main(["mutants", "gremlin"]) == 2
    assert "gremlin" in capsys.readouterr().err


def test_mutants_are_listed_and_counted(capsys: pytest.CaptureFixture[str]):
    arguments = ["mutants", "no-pull", "--seeds", "1", "--workers", "1"]
    assert main([*arguments, "--first-seed", "3"]) == 0
    assert "caught 1 of 1" in capsys.readouterr().out
    assert main(arguments) == 1
    assert "missed" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["caught"] is False


def test_mutants_show_what_is_done_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def score(*_arguments: object, **_named: object) -> Iterator[object]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(commands, "score", score)
    assert main(["mutants", "no-pull"]) == 130
    assert "caught 0 of 0" in capsys.readouterr().out
