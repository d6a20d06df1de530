"""The benchmark of reconciliation finds every difference, within what it took before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.bench_reconciliation import (
    REFERENCES,
    SESSION_BYTES_MAX,
    Figures,
    HostileFigures,
    measure,
    measure_hostile,
    show,
    show_hostile,
)
from meshnode.core.range_answers import ROUNDS_MAX

ROOT = Path(__file__).parent.parent.parent


def test_benchmark_prints_its_figures_beside_the_references():
    command = (sys.executable, "-m", "benchmarks.bench_reconciliation", "--common", "600", "--json")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    honest = lines[: len(REFERENCES)]
    assert [line["differences"] for line in honest] == list(REFERENCES)
    assert len(lines) == len(REFERENCES) + 4
    assert all(line["is_met"] for line in lines)
    assert all(line["revision"] for line in lines)


def test_figures_are_bytes_and_round_trips():
    figures = measure(600, 10, seeds=1)
    assert figures.is_met
    assert figures.get_bytes > 5 * 24
    assert "ok" in show(figures)
    assert "TOO MUCH" in show(Figures(10, 5_000, 1.0, 1.0, 0, *REFERENCES[10]))


def test_lies_cost_no_more_than_a_session_may():
    found = measure_hostile(600)
    assert all(figures.is_met for figures in found)
    assert max(figures.rounds for figures in found) == ROUNDS_MAX
    assert max(figures.noted for figures in found) > 10_000
    assert "ok" in show_hostile(found[0])
    assert "TOO MUCH" in show_hostile(HostileFigures("x", 1, SESSION_BYTES_MAX + 1, 0, 1.0))
