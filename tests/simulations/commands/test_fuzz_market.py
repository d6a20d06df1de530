"""`fuzz-market`: what a campaign over markets says, and how it resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.commands import fuzz_market
from simulations.commands.program import main
from simulations.folding.spec import Spec
from simulations.fuzzing.market import Result


def make_result(spec: Spec, check: str = "") -> Result:
    return Result(
        seed=spec.seed,
        kinds=spec.kinds,
        check=check,
        message=f"{check}: broken" if check else "",
        digest="00",
        events=10,
        commits=30,
        trades=3,
        virtual_ms=20,
        reached=("sent",),
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 3 is broken; all else is clean."""

    def run_all(specs: Iterator[Spec], workers: int) -> Iterator[Result]:
        assert workers > 0
        for spec in specs:
            yield make_result(spec, "P5 money" if spec.seed == 3 else "")

    monkeypatch.setattr(fuzz_market, "run_all", run_all)


def test_campaign_runs_markets_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = tmp_path / "market.jsonl"
    arguments = ["fuzz-market", "--first-seed", "7", "--results", str(results), "--workers", "1"]
    assert main([*arguments, "--seeds", "1"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "seeds 7 to 7, 1 workers"
    assert last.startswith("clean: 1 runs, 0 violations")
    before = results.read_bytes()
    assert main([*arguments, "--seeds", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["runs"], document["violations"], document["interrupted"]) == (1, 0, False)
    assert document["missed"] == []
    assert results.read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_broken_promise_is_told_with_its_seed(capsys: pytest.CaptureFixture[str]):
    assert main(["fuzz-market", "--seeds", "5"]) == 1
    out, err = capsys.readouterr()
    assert "NOT clean: 5 runs, 1 violations" in out
    assert "seed 3: P5 money: broken" in err


@pytest.mark.usefixtures("quick")
def test_what_never_happened_is_told(capsys: pytest.CaptureFixture[str]):
    assert main(["fuzz-market", "--first-seed", "10", "--seeds", "60"]) == 1
    assert "never happened: attested, carried, " in capsys.readouterr().out


def test_interrupted_campaign_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def run_all(specs: Iterator[Spec], _workers: int) -> Iterator[Result]:
        yield make_result(next(iter(specs)))
        raise KeyboardInterrupt

    monkeypatch.setattr(fuzz_market, "run_all", run_all)
    results = tmp_path / "market.jsonl"
    assert main(["fuzz-market", "--seeds", "5", "--results", str(results)]) == 130
    assert "interrupted: 1 runs" in capsys.readouterr().out
    assert len(results.read_text().splitlines()) == 1


def test_bug_of_another_area_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["fuzz-market", "--mutant", "no-pull"])
    assert "invalid choice" in capsys.readouterr().err
