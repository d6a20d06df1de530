"""`report`: what is drawn of which results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulations.commands.program import main
from simulations.commands.report import select
from simulations.results import Outcome, Record, Task
from simulations.sweeps.store import Store


def make_record(scenario: str, seed: int, key: str = "") -> Record:
    task = Task(scenario=scenario, measure="push", parameters={"nodes": 9}, seed=seed)
    outcome = Outcome(world={}, metrics={"coverage": 0.5})
    return Record(key=key or task.key, task=task, outcome=outcome)


def fill(folder: Path, *records: Record) -> Store:
    store = Store(folder)
    for record in records:
        store.add(record)
    return store


def test_results_are_parted_by_scenario(tmp_path: Path):
    store = fill(tmp_path, make_record("a", 0), make_record("a", 1), make_record("b", 0))
    found, left_out = select(store)
    assert {name: len(records) for name, records in found.items()} == {"a": 2, "b": 1}
    assert left_out == 0


def test_results_of_other_sources_are_taken_only_without_current_ones(tmp_path: Path):
    old = [make_record("a", seed, key=f"{seed:032x}") for seed in range(3)]
    found, left_out = select(fill(tmp_path, *old))
    assert (found, left_out) == ({"a": old}, 0)
    new = make_record("a", 0)
    assert select(fill(tmp_path, new)) == ({"a": [new]}, 3)


def test_report_writes_a_page_for_each_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    results = tmp_path / "results"
    for name in ("reach", "coverage"):
        arguments = ["sweep", name, "--set", "nodes=20", "--seeds", "1", "--engine", "serial"]
        assert main([*arguments, "--results", str(results)]) == 0
    fill(results, make_record("reach", 0, key="0" * 32))
    capsys.readouterr()
    output = tmp_path / "pictures"
    assert main(["report", str(results), "--output", str(output), "--open"]) == 0
    out = capsys.readouterr().out
    assert "1 results made by other sources are left out" in out
    pages = [output / name / "index.html" for name in ("coverage", "reach")]
    assert sorted(opened) == [page.as_uri() for page in pages]
    assert all(f", {page}\n" in out for page in pages)


def test_report_of_nothing_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(tmp_path)]) == 2
    assert "python -m simulations sweep NAME" in capsys.readouterr().err


def test_report_tells_programs_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["sweep", "reach", "--set", "nodes=20", "--set", "fanout=2", "--seeds", "1"]
    assert main([*arguments, "--engine", "serial", "--results", str(tmp_path), "--json"]) == 0
    capsys.readouterr()
    assert main(["report", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "reports": [str(tmp_path / "reports/reach/index.html")],
        "left_out": 0,
    }
