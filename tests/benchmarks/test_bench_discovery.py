"""The benchmark of discovery hands out every record once, to tiny meshes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from meshnode.core.record_book import PAGE_MAX

ROOT = Path(__file__).parent.parent.parent


def test_benchmark_prints_what_visits_cost():
    command = [sys.executable, "-m", "benchmarks.bench_discovery", "--json", "--no-lan"]
    command += ["--hosts", "0", "--members", "3", "40"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = (json.loads(line) for line in done.stdout.splitlines())
    assert (few["members"], few["round_trips"]) == (3, 1)
    assert many["round_trips"] == -(-40 // PAGE_MAX)
    assert 200 < many["bytes_per_record"] < 600
    assert few["revision"]
