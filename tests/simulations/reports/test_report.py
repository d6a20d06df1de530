"""Reports of real scenarios, whole and with whatever is missing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from simulations.errors import SimulationError
from simulations.reports import recording, write_report
from simulations.reports.recording import choose_record, record_run
from simulations.reports.tables import read_table
from simulations.reports.timeline import Timeline
from simulations.results import Outcome, Record, Task, Value
from simulations.scenarios.catalogue import load
from simulations.scenarios.execute import execute
from simulations.scenarios.schema import Scenario
from tests.support.records import make_record

SMALL: dict[str, Value] = {"nodes": 30, "origins": 1, "fanout": "[1, 3]"}


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load("reach")


@pytest.fixture(scope="module")
def bare(scenario: Scenario) -> Scenario:
    """Without pictures, which take their time."""
    return scenario.model_copy(update={"plots": []})


@pytest.fixture(scope="module")
def records(scenario: Scenario) -> list[Record]:
    return [execute(task) for task in scenario.tasks(range(2), SMALL, grid=True)]


def test_a_report_has_tables_pictures_and_one_run_seen_closely(
    scenario: Scenario, records: list[Record], tmp_path: Path
):
    report = write_report(records, scenario, tmp_path / "new" / "folder")
    names = [path.name for path in report.files]
    assert names[0] == "index.html"
    assert {"runs.parquet", "timeline.json", "trace.parquet", "01-curve-coverage.svg"} <= {*names}
    assert all(path.stat().st_size for path in report.files)
    assert len(read_table(report.index.parent / "runs.parquet")) == 4
    page = report.index.read_text(encoding="utf-8")
    assert "it gave the same result" in page
    shown = json.loads(re.findall(r'id="topology-data">(.*?)</script>', page, re.DOTALL)[0])
    assert len(shown["nodes"]) == 30
    again = write_report(records[::-1], scenario, tmp_path / "again")
    for one, other in zip(report.files, again.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_report_of_cores_shows_their_dag(tmp_path: Path):
    gossip = load("gossip")
    overrides: dict[str, Value] = {"nodes": 4, "vertices": 3}
    found = [execute(task) for task in gossip.tasks(range(1), overrides, grid=False)]
    report = write_report(found, gossip.model_copy(update={"plots": []}), tmp_path)
    assert "dag.svg" in [path.name for path in report.files]
    assert "The DAG of that run" in report.index.read_text(encoding="utf-8")


def test_without_extras_a_report_is_tables_and_a_page_that_says_so(
    scenario: Scenario, records: list[Record], tmp_path: Path, monkeypatch
):
    for library in ("matplotlib", "pyarrow"):
        monkeypatch.setitem(sys.modules, library, None)
    report = write_report(records, scenario, tmp_path, records_run=False)
    assert [path.name for path in report.files] == ["index.html", "runs.csv", "runs.jsonl"]
    page = report.index.read_text(encoding="utf-8")
    assert "meshnode[research]" in page
    assert "<script" not in page


def test_nothing_is_no_report(bare: Scenario, records: list[Record], tmp_path: Path):
    with pytest.raises(SimulationError, match="no results of 'reach'"):
        write_report([], bare, tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SimulationError, match="cannot write"):
        write_report(records, bare, tmp_path / "file")


def test_failed_runs_make_a_report_too(bare: Scenario, tmp_path: Path):
    task = bare.tasks(range(1), SMALL, grid=False)[0]
    failed = [Record(key=task.key, task=task, error="no_luck: none")]
    report = write_report(failed, bare, tmp_path)
    page = report.index.read_text(encoding="utf-8")
    assert "no_luck: none" in page
    assert "No run is small enough to be shown" in page


def test_runs_of_other_code_are_not_run_again(
    bare: Scenario, records: list[Record], tmp_path: Path
):
    foreign = [
        Record(key=f"{n:032x}", task=r.task, outcome=r.outcome) for n, r in enumerate(records)
    ]
    page = write_report(foreign, bare, tmp_path).index.read_text(encoding="utf-8")
    assert "made by other code" in page
    assert "<td>made by other code</td><td>4 runs</td>" in page
    assert "digest of the code" not in page


def test_a_run_that_is_not_deterministic_is_told(
    bare: Scenario, records: list[Record], tmp_path: Path
):
    def other(task: Task) -> Record:
        found = execute(task)
        assert found.outcome is not None
        return Record(key=found.key, task=task, outcome=Outcome(world={}, metrics={}))

    page = write_report(records, bare, tmp_path, execute=other).index.read_text()
    assert "ANOTHER result" in page


def test_a_run_that_cannot_be_recorded_leaves_the_rest_of_the_report(
    bare: Scenario, records: list[Record], tmp_path: Path
):
    def fail(task: Task) -> Record:
        raise SimulationError("out of luck")

    page = write_report(records, bare, tmp_path, execute=fail).index.read_text()
    assert "could not be recorded: out of luck" in page
    assert "<h2>Results</h2>" in page


def test_a_scenario_without_pictures_says_so(bare: Scenario, records: list[Record], tmp_path: Path):
    page = write_report(records, bare, tmp_path, records_run=False).index.read_text()
    assert "has no pictures" in page


def test_a_measurement_without_a_world_is_not_shown(bare: Scenario, tmp_path: Path):
    records = [make_record(0, n=1)]
    page = write_report(records, bare, tmp_path, execute=lambda task: records[0])
    assert "It has no messages to show." in page.index.read_text()
    found = record_run(records[0], tmp_path, lambda task: records[0])
    assert (found.is_same, found.files, found.animation) == (True, (), "")


def test_caps_that_were_reached_are_told(
    bare: Scenario, records: list[Record], tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(recording, "Timeline", lambda: Timeline(events_max=10))
    page = write_report(records, bare, tmp_path).index.read_text()
    assert re.search(r"timeline: [\d,]+ events left out at its limit", page)


def test_the_run_that_is_shown_is_the_one_that_shows_most():
    def made(nodes: int, events: int) -> Record:
        record = make_record(0, n=nodes, e=events)
        assert record.outcome is not None
        record.outcome.world.update(nodes=nodes, events=events)
        return record

    assert choose_record([]) is None
    assert choose_record([made(4, 500_000), made(9_000, 10), made(4, 0)]) is None
    found = choose_record([made(8, 100), made(32, 100), made(32, 900), made(50, 900)])
    assert found == made(32, 900)
    crowd = choose_record([made(900, 20_000), made(900, 4_000), made(900, 300_000), made(2_000, 9)])
    assert crowd == made(900, 4_000)
    odd = make_record(0, n=1)
    assert odd.outcome is not None
    odd.outcome.world["events"] = "many"
    assert choose_record([odd]) is None
