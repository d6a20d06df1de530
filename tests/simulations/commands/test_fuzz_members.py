"""`fuzz-members`: what a campaign says, and how it resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.commands import fuzz_members
from simulations.commands.program import main
from simulations.fuzzing.member_campaign import STATES, Summary, run_all
from simulations.fuzzing.member_plan import MemberSpec, draw_member_spec
from simulations.fuzzing.membership import MemberResult


def make_result(seed: int, check: str = "") -> MemberResult:
    return MemberResult(
        seed=seed,
        kinds=("crash", "cut", "skew"),
        check=check,
        message=f"{check}: broken" if check else "",
        events=10,
        commits=3,
        agreed_ms=7,
        reached=("left",),
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed 3 is broken; all else is clean."""

    def run_all(specs: Iterator[MemberSpec], workers: int) -> Iterator[MemberResult]:
        assert workers > 0
        for spec in specs:
            yield make_result(spec.seed, "one-roll" if spec.seed == 3 else "")

    monkeypatch.setattr(fuzz_members, "run_all", run_all)


@pytest.mark.usefixtures("quick")
def test_campaign_tells_its_figures_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = tmp_path / "members.jsonl"
    arguments = ["fuzz-members", "--first-seed", "7", "--results", str(results), "--seeds", "4"]
    assert main(arguments) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("clean: 4 runs, 0 violations, 40 events, rolls compared at 12 commits")
    before = results.read_bytes()
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["runs"], document["violations"], document["agreed_ms_max"]) == (4, 0, 7)
    assert results.read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_broken_promise_is_told_with_its_seed(capsys: pytest.CaptureFixture[str]):
    assert main(["fuzz-members", "--seeds", "5"]) == 1
    out, err = capsys.readouterr()
    assert "NOT clean: 5 runs, 1 violations" in out
    assert "seed 3: one-roll: broken" in err


@pytest.mark.usefixtures("quick")
def test_what_never_happened_is_told(capsys: pytest.CaptureFixture[str]):
    assert main(["fuzz-members", "--first-seed", "10", "--seeds", "60"]) == 1
    assert "never happened: another committee, by itself" in capsys.readouterr().out


def test_campaign_that_saw_everything_is_clean():
    summary = Summary()
    for number in range(60):
        summary.add(make_result(number))
    assert not summary.is_clean
    summary.reached = dict.fromkeys(STATES, 1)
    assert summary.is_clean


def test_run_that_raises_is_a_violation(monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("nothing there")

    monkeypatch.setattr("simulations.fuzzing.membership.MemberRun.carry_out", fail)
    (result,) = run_all([draw_member_spec(1)], workers=1)
    assert result.check == "raised"
    assert "nothing there" in result.message
