"""The page for operators names what the program says."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.routing.decision import Obstacle

PAGE = (Path(__file__).parents[3] / "docs" / "routing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("obstacle", Obstacle)
def test_every_obstacle_has_its_row(obstacle):
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert any(f"`{obstacle}`" in row.split("|")[1] for row in rows)
