"""`run`: from a name to a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulations.commands import console
from simulations.commands.program import main

SMALL = ("--set", "nodes=30", "--engine", "serial")


def run(tmp_path: Path, *arguments: str) -> int:
    return main(["run", "reach", *SMALL, "--output", str(tmp_path / "out"), *arguments])


def test_run_shows_figures_and_says_where_the_picture_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert run(tmp_path, "--seeds", "2", "--set", "fanout=[1, 4]") == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, *_, done, picture, report = out.strip().splitlines()
    assert head.split()[:2] == ["fanout", "coverage"]
    assert done.startswith("done: 4 runs of reach, 0 failed, 0 resumed")
    assert Path(picture.removeprefix("picture: ")).read_bytes().startswith(b"\x89PNG")
    assert "<html" in Path(report.removeprefix("report: ")).read_text()
    assert max(map(len, out.splitlines()[:6])) <= 80


def test_run_again_runs_nothing_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ("--seed", "7", "--set", "fanout=4", "--json")
    assert run(tmp_path, *arguments) == 0
    first = json.loads(capsys.readouterr().out)
    assert run(tmp_path, *arguments) == 0
    second = json.loads(capsys.readouterr().out)
    assert (first["run"], first["resumed"]) == (1, 0)
    assert (second["run"], second["resumed"]) == (0, 1)
    assert second["digest"] == first["digest"]
    assert second["report"] == str(tmp_path / "out/index.html")
    assert second["medians"] == first["medians"]
    assert set(second["medians"][0]) >= {"coverage"}


def test_run_opens_the_page_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(tmp_path, "--seed", "7", "--set", "fanout=4", "--open") == 0
    assert opened == [(tmp_path / "out/index.html").as_uri()]


def test_run_refuses_what_is_no_scenario(capsys: pytest.CaptureFixture[str]):
    assert main(["run", "rech"]) == 2
    assert "did you mean 'reach'" in capsys.readouterr().err


def test_a_long_table_is_continued_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("simulations.commands.metrics.ROWS_MAX", 1)
    assert run(tmp_path, "--seed", "7", "--set", "fanout=[1, 2, 3]") == 0
    assert "2 more rows in the report" in capsys.readouterr().out


def test_wide_terminals_get_tables_of_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "200")
    console.write_table(("a", "b"), [("x", "y" * 150)])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
