"""Scenarios are found by name and by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.scenarios import catalogue
from simulations.scenarios.catalogue import load, names
from simulations.scenarios.errors import BadScenario
from simulations.scenarios.execute import execute

QUICK = {
    "byzantine": {"nodes": 4, "vertices": 4, "liars_percent": 25},
    "call_auction": {"traders": 4},
    "cheating_provider": {"deals": 3},
    "churn": {"nodes": 4, "duration_ms": 10_000, "hour_ms": 1_000},
    "congestion": {"hours": 2, "lots": 3},
    "coverage": {"nodes": 20},
    "finality": {"members": 4, "duration_ms": 500},
    "gossip": {"nodes": 4, "vertices": 3},
    "partition": {"nodes": 4, "partition_ms": 1_000},
    "reach": {"nodes": 50},
    "redundancy": {"nodes": 20, "degree": 4},
    "sybil": {"deals": 16},
    "wash_trader": {"deals": 2},
    "whitewasher": {"history": 1, "goal_bp": 500},
    "zero_intelligence": {"units": 2},
}


def test_scenarios_of_the_package_are_these():
    assert names() == tuple(sorted(QUICK))


@pytest.mark.parametrize("name", sorted(QUICK))
def test_every_scenario_measures_what_it_plots(name: str):
    scenario = load(name)
    assert scenario.name == name
    assert scenario.plots
    record = execute(scenario.tasks([1], QUICK[name], grid=False)[0])
    assert record.error == ""
    assert record.outcome is not None
    outcome = record.outcome
    found: dict[str, dict] = {
        "curve": outcome.metrics,
        "cdf": outcome.samples,
        "series": outcome.series,
    }
    for plot in scenario.plots:
        assert plot.y in found[plot.kind]


@pytest.mark.parametrize("name", sorted(QUICK))
def test_default_grid_has_every_parameter_a_plot_is_drawn_over(name: str):
    scenario = load(name)
    for plot in scenario.plots:
        assert {plot.x, plot.group_by, *plot.where} - {None} <= set(scenario.grid)
        assert all(value in scenario.grid[name] for name, value in plot.where.items())


def test_file_of_ones_own_is_loaded(tmp_path: Path):
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\ntitle = "t"\nquestion = "q"\nmeasure = "push"\n')
    assert load(path) == load(str(path))
    assert load(path).name == "own"


def test_unknown_name_is_told_what_it_may_mean():
    with pytest.raises(BadScenario, match="no scenario 'raech'; did you mean 'reach'") as caught:
        load("raech")
    assert "partition" in (caught.value.hint or "")


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BadScenario, match=r"absent\.toml cannot be read"):
        load(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff")
    with pytest.raises(BadScenario, match=r"binary\.toml cannot be read"):
        load(tmp_path / "binary.toml")
    monkeypatch.setattr(catalogue, "SIZE_BYTES_MAX", 0)
    with pytest.raises(BadScenario, match="is larger than"):
        load(tmp_path / "binary.toml")
