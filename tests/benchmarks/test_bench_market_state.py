"""The benchmark of the whole market runs and counts what it says."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import bench_market_state


def test_benchmark_of_the_state_prints_its_figures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["bench", "--commands", "400", "--rounds", "1", "--json"])
    bench_market_state.main()
    figures = json.loads(capsys.readouterr().out)
    for workload in bench_market_state.WORKLOADS:
        assert figures[workload]["commands"] == 400
        assert figures[workload]["commands_per_second"] > 0
        assert figures[workload]["trades"] > 0
    arguments = ["bench", "--commands", "200", "--rounds", "1", "--workload", "own"]
    monkeypatch.setattr(sys, "argv", arguments)
    bench_market_state.main()
    assert "snapshot_bytes" in capsys.readouterr().out
