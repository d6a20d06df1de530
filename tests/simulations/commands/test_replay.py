"""`replay` and `shrink`: plans run again, and made smaller."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from simulations.commands.program import main
from simulations.fuzzing.run import Result
from simulations.fuzzing.spec import Spec, draw_spec, load_spec, save_spec
from simulations.reports import columns
from tests.support.fuzz_results import make_result

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


def test_replay_shows_what_every_node_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def replay_with_log(spec: Spec, write: Callable[[str], object], *, messages: bool) -> Result:
        write(f"messages: {messages}")
        return make_result(spec)

    monkeypatch.setattr(columns, "replay_with_log", replay_with_log)
    path = tmp_path / "plan.jsonl"
    save_spec(draw_spec(4), path)
    assert main(["replay", str(path), "--log", "--messages"]) == 0
    _head, log, last = capsys.readouterr().out.splitlines()
    assert log == "messages: True"
    assert last.startswith("clean: ")
