"""`routing`: a table that fits, a document that is whole, and clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulations.commands.program import main
from simulations.serving import run as run_module

SMALL = ["routing", "--requests", "20", "--workers", "1"]


def test_table_fits_and_says_who_is_ahead(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--policy", "p2c, meshnode"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "in joint goodput against p2c" in shown


def test_all_policies_are_named_at_once(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--policy", "all", "--straggler", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["policies"]) == 11
    assert document["fault"] == "straggler"


def test_document_holds_every_seed(capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--seeds", "2", "--fault", "killed", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["seed"] for one in document["policies"]["meshnode"]] == [0, 1]
    assert document["fault"] == "killed"
    assert len(document["policies"]) == 6


def test_policy_alone_and_its_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "routing.png"
    arguments = ["--policy", "random", "--fault", "rubbish", "--picture", str(path)]
    assert main([*SMALL, *arguments]) == 0
    assert f"picture: {path}" in capsys.readouterr().out
    assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trace", "missing.jsonl"], "no trace"),
        (["--policy", "nobody"], "no policy is called"),
        (["--policy", ","], "no policy is named"),
        (["--straggler", "8", "--fault", "killed"], "one of them"),
    ],
)
def test_what_cannot_be_run_is_said(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
):
    assert main([*SMALL, *arguments]) == 2
    assert says in capsys.readouterr().err


def test_load_must_be_positive(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([*SMALL, "--load", "0"])
    assert "not positive" in capsys.readouterr().err


def test_failed_run_is_told_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(spec: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(run_module, "run", fail)
    assert main([*SMALL, "--policy", "p2c"]) == 1
    assert "p2c failed" in capsys.readouterr().err


def test_interrupted_comparison_says_so(monkeypatch: pytest.MonkeyPatch):
    def interrupt(spec: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "run", interrupt)
    assert main([*SMALL, "--policy", "p2c"]) == 130
