"""`replay` and `shrink`: plans run again, and made smaller."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulations.commands.program import main
from simulations.fuzzing.spec import draw_spec, load_spec, save_spec

pytestmark = pytest.mark.usefixtures("quick")


def test_replay_tells_how_a_plan_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(3), path)
    assert main(["replay", str(path)]) == 1
    assert "broken: liveness" in capsys.readouterr().out
    save_spec(draw_spec(4), path)
    assert main(["replay", str(path)]) == 0
    assert "clean: 10 events" in capsys.readouterr().out
    assert main(["replay", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 4


def test_shrink_writes_the_small_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(3), path)
    assert main(["shrink", str(path)]) == 1
    assert "shrunk to 1:" in capsys.readouterr().out
    assert len(load_spec(tmp_path / "plan.small.jsonl").faults) == 1


def test_shrink_refuses_a_plan_that_breaks_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(4), path)
    assert main(["shrink", str(path)]) == 2
    assert "breaks no promise" in capsys.readouterr().err
