"""Policies side by side: rows, medians, and a picture."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulations.serving.comparison import COLUMNS, Row, arrange, draw, find_best
from simulations.serving.outcome import Figures
from simulations.serving.run import Spec, run


@pytest.fixture(scope="module")
def figures() -> Figures:
    return run(Spec(policy="p2c", trace="chat", requests=30))


def test_rows_stand_in_their_order_with_seeds_in_theirs(figures: Figures):
    rows = arrange([("p2c", 1, figures), ("meshnode", 0, figures), ("p2c", 0, figures)])
    assert [row.policy for row in rows] == ["meshnode", "p2c"]
    assert len(rows[1].runs) == 2
    assert len(rows[0].describe()) == len(COLUMNS)
    best = find_best(rows)
    assert best is not None
    assert best.policy == "p2c"
    assert find_best(rows[:1]) is None


def test_errors_are_those_of_all_runs(figures: Figures):
    assert Row("p2c", (figures, figures)).errors == 2 * (figures.requests - figures.answered)


def test_picture_is_drawn(figures: Figures, tmp_path: Path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "deep" / "routing.png"
    draw(arrange([("meshnode", 0, figures), ("p2c", 0, figures)]), "chat", path)
    assert path.read_bytes().startswith(b"\x89PNG")
