"""The benchmark of the HTTP interface runs on as little as it can, and its targets are judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench_gateway import Figures, compare, show

ROOT = Path(__file__).parent.parent.parent
TINY = ("--requests", "8", "--rounds", "1", "--at-once", "2", "--streams", "1", "--words", "20")


@pytest.mark.e2e
def test_benchmark_measures_a_real_node_beside_its_engine():
    command = (sys.executable, "benchmarks/bench_gateway.py", *TINY, "--json")
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["system"] for line in lines] == ["direct", "meshnode"]
    assert lines[0]["added_p50_ms"] == 0
    assert all(line["requests_per_core_s"] > 0 for line in lines)


def make_figures(system: str, *, added_p50_ms: float, requests_per_core_s: float) -> Figures:
    return Figures(
        system=system,
        p50_ms=added_p50_ms + 1,
        added_p50_ms=added_p50_ms,
        busy_p50_ms=1,
        busy_p99_ms=1,
        requests_per_s=1,
        cpu_ms_per_request=1,
        requests_per_core_s=requests_per_core_s,
        cpu_us_per_chunk=1,
    )


def test_targets_compare_ours_with_theirs():
    ours = make_figures("meshnode", added_p50_ms=2, requests_per_core_s=300)
    theirs = make_figures("litellm", added_p50_ms=8, requests_per_core_s=100)
    assert [(each["ratio"], each["met"]) for each in compare([ours, theirs])] == [
        (0.25, True),
        (3.0, True),
    ]
    slow = make_figures("meshnode", added_p50_ms=5, requests_per_core_s=200)
    assert [each["met"] for each in compare([slow, theirs])] == [False, False]
    assert compare([ours]) == []
    assert "meshnode" in show(ours)
