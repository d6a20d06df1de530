"""The benchmark of routing runs, on as little as it can."""

from __future__ import annotations

import json

import pytest

from benchmarks import bench_routing
from benchmarks.bench_routing import Figure


def test_figures_are_printed_with_their_bounds(capsys: pytest.CaptureFixture[str]):
    bench_routing.main(["--requests", "15", "--only", "herd", "--only", "choices"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "< 1.500" in lines[0]
    assert "one choice among 64" in lines[2]


def test_json_has_figures_revision_and_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bench_routing, "SHORT", ("meshnode", "p2c"))
    monkeypatch.setattr(bench_routing, "LOADS", (1.0,))
    parts = ["--only", "compare", "--only", "overload", "--only", "fail"]
    bench_routing.main(["--requests", "15", "--json", *parts])
    told = json.loads(capsys.readouterr().out)
    assert told["revision"]
    names = [figure["name"] for figure in told["figures"]]
    assert "joint goodput, p2c, straggler" in names
    assert "breakers seen open, rate-limit" in names


def test_missed_bound_is_told():
    assert Figure("x", 0.5, 0.9).describe().endswith("MISSED")
    assert Figure("x", 1.6, 1.5, is_most=True).describe().endswith("MISSED")
    assert Figure("x", 1.4, 1.5, is_most=True).is_met
    assert Figure("x", 3.0).describe().endswith("3.000")
