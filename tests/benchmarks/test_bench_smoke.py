"""The benchmark of the whole path runs, on as little as it can, and its figures make sense."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._harness import (
    Report,
    Sample,
    Workers,
    describe_machine,
    describe_revision,
    quantile,
)
from benchmarks.bench_mesh import Bench, Figures, Settings, compare, show

ROOT = Path(__file__).parent.parent.parent
TINY = ("--peers", "2", "--vertices", "16", "--light-vertices", "8", "--light-rate", "40")


@pytest.mark.e2e
def test_benchmark_measures_both_systems_and_prints_json_lines():
    command = (sys.executable, "benchmarks/bench_mesh.py", *TINY, "--verify", "on", "--json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    loads = [line for line in lines if "load" in line]
    assert [(line["system"], line["load"], line["complete"]) for line in loads] == [
        ("mesh", "light", 8),
        ("mesh", "saturated", 16),
        ("gossipsub", "light", 2),
        ("gossipsub", "saturated", 4),
    ]
    for line in loads:
        assert line["revision"]
        assert line["machine"]["cores"] >= 1
        assert line["wire_ratio"] > 0.9
        assert line["cpu_ratio"] > 0
        assert 0 < line["time_to_all_p50_ms"] <= line["time_to_all_p99_ms"]
    assert [line["target"] for line in lines if "target" in line] == [
        "cpu_over_signatures",
        "wire_over_unique_bytes",
        "rate_over_gossipsub_verified",
    ]


class _Peers(Workers):
    """Two peers that answer from a script instead of running."""

    def __init__(self, *reports):
        super().__init__(print, ())
        self.reports = list(reports)
        self.loads = []

    def ask(self, *commands, timeout_s=0.0):
        if commands == ("calibrate",):
            return [0.001, 0.003]
        if commands == ("sample",):
            sample = Sample(2.0 * len(self.loads), 500 * len(self.loads), {"frames": 3})
            return [sample, sample]
        self.loads.append(commands)
        return self.reports


def test_figures_follow_from_what_the_peers_report():
    first = Report({b"1": 1.0, b"2": 1.5}, {b"1": 100, b"2": 100}, {b"1": 1.1, b"2": 1.6})
    second = Report({}, {}, {b"1": 2.0})
    peers = _Peers(first, second)
    bench = Bench("mesh", peers, Settings(peers=2), verify=True)
    figures = bench.run("light", 2, rate=4.0)
    assert [(load.count, load.expected, load.interval_s) for load in peers.loads[0]] == [
        (1, 2, 0.5),
        (1, 2, 0.5),
    ]
    assert peers.loads[0][1].offset_s == 0.25
    assert (figures.published, figures.complete) == (2, 1)
    assert figures.rate_per_s == pytest.approx(1.0)
    assert figures.time_to_all_p50_ms == pytest.approx(1_000)
    assert figures.cpu_per_message_us == pytest.approx(4_000_000)
    assert figures.cpu_ratio == pytest.approx(2_000)
    assert figures.wire_ratio == pytest.approx(1_000 / 200)
    assert figures.counters == {}
    assert "1/2" in show(figures)


def make_figures(system, rate, **changes):
    fields = {
        "system": system,
        "verify": True,
        "load": "saturated",
        "published": 1,
        "complete": 1,
        "rate_per_s": rate,
        "time_to_all_p50_ms": 1.0,
        "time_to_all_p99_ms": 2.0,
        "cpu_per_message_us": 1.0,
        "signature_us": 1.0,
        "cpu_ratio": 2.0,
        "wire_ratio": 1.2,
    }
    return Figures(**(fields | changes))


def test_targets_are_ratios_and_say_whether_they_are_met():
    met = {
        str(target["target"]): target["met"]
        for target in compare(
            [
                make_figures("mesh", 30.0),
                make_figures("gossipsub", 10.0),
                make_figures("mesh", 30.0, verify=False, cpu_ratio=None),
                make_figures("gossipsub", 10.0, verify=False, cpu_ratio=None),
            ]
        )
    }
    assert met == {
        "cpu_over_signatures": True,
        "wire_over_unique_bytes": False,
        "rate_over_gossipsub_verified": True,
        "rate_over_gossipsub_unverified": False,
    }


def test_quantiles_and_the_place_of_a_measurement_are_told():
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([1], 0.99) == 1
    assert quantile([], 0.5) != quantile([], 0.5)
    assert describe_revision()
    assert set(describe_machine()) == {"cpu", "cores", "system", "python", "load_1m"}
