"""The benchmark of the agreed order runs, on as little as it can, and its figures make sense."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import bench_consensus
from benchmarks._harness import Report, Sample
from benchmarks.bench_consensus import (
    Bench,
    Figures,
    IdleFigures,
    Settings,
    compare,
    compute,
    compute_rate,
    show,
    subtract,
)

ROOT = Path(__file__).parent.parent.parent
TINY = ("--validators", "2", "--vertices", "16", "--light-vertices", "4", "--idle", "0.2")


@pytest.mark.e2e
def test_benchmark_measures_every_load_and_prints_json_lines():
    loads = ("--loads", "light,saturated,idle")
    command = (sys.executable, "-m", "benchmarks.bench_consensus", *TINY, *loads, "--json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["load"] for line in lines if "load" in line] == ["light", "saturated", "idle"]
    for line in lines[:2]:
        assert line["delivered"] == line["published"] > 0
        assert line["floor_us"] > 0
        assert 0 < line["own_p50_ms"] <= line["all_p99_ms"]
    assert [line["target"] for line in lines if "target" in line] == [
        "light_all_p50_ms",
        "light_all_p99_ms",
        "rate_per_s",
        "idle_cpu_share",
        "idle_bytes_per_s",
    ]


def make_report(published, held):
    return Report(published, dict.fromkeys(published, 300), held)


def test_figures_follow_from_what_the_validators_report():
    first = make_report({b"1": 1.0, b"2": 1.5}, {b"1": 1.1, b"2": 1.6})
    second = make_report({}, {b"1": 2.0})
    total = Sample(0.01, 5_000, {"blocks": 8, "commits": 4})
    figures = compute("light", [first, second], total, 500.0)
    assert (figures.published, figures.delivered) == (2, 1)
    assert figures.own_p50_ms == pytest.approx(100)
    assert figures.all_p50_ms == pytest.approx(1_000)
    assert figures.cpu_us == pytest.approx(10_000)
    assert figures.floor_us == pytest.approx(500 * (1 + 4))
    assert figures.blocks == pytest.approx(4.0)
    assert figures.blocks_per_commit == pytest.approx(2.0)
    assert figures.sent_bytes == 5_000
    assert "1/2" in show(figures)


def test_a_rate_is_that_of_the_steady_part():
    times_s = [0.0] * 15 + [number / 10 for number in range(71)] + [99.0] * 15
    assert compute_rate(times_s) == pytest.approx(10.0)
    assert compute_rate([1.0]) == 0.0
    assert compute_rate([1.0] * 50) == 0.0


def test_samples_of_all_processes_are_subtracted():
    before = [Sample(1.0, 10, {"blocks": 1}), Sample(2.0, 20, {})]
    after = [Sample(1.5, 15, {"blocks": 4}), Sample(2.5, 30, {"blocks": 5})]
    assert subtract(before, after) == Sample(1.0, 15, {"blocks": 8})


class _Workers:
    """Validators that rest."""

    def __init__(self):
        self.samples = [Sample(0.0, 0, {"blocks": 0}), Sample(0.1, 50, {"blocks": 1})]

    def __len__(self):
        return 2

    def ask(self, command):
        return [0.001, 0.003] if command == "calibrate" else [self.samples.pop(0)] * 2


def test_rest_is_measured_per_validator_and_second(monkeypatch):
    monkeypatch.setattr(bench_consensus, "SETTLE_S", 0.0)
    figures = Bench(cast("Any", _Workers()), Settings(idle_s=0.5)).run("idle")
    assert figures == IdleFigures(
        load="idle",
        seconds=0.5,
        cpu_share=cast("float", pytest.approx(0.2)),
        sent_bytes_per_s=100.0,
        blocks=1,
    )
    assert "100 B/s" in show(figures)


def test_targets_say_whether_they_are_met():
    idle = IdleFigures(load="idle", seconds=1.0, cpu_share=0.02, sent_bytes_per_s=10, blocks=0)
    report = make_report({b"1": 1.0}, {b"1": 1.1})
    total = Sample(0.01, 5_000, {"blocks": 1, "commits": 1})
    runs: list[Figures | IdleFigures] = [
        compute(load, [report], total, 500.0) for load in ("asleep", "light", "saturated")
    ]
    assert {target["target"]: target["met"] for target in compare([*runs, idle])} == {
        "light_all_p50_ms": True,
        "light_all_p99_ms": True,
        "rate_per_s": False,
        "idle_cpu_share": False,
        "idle_bytes_per_s": True,
    }
