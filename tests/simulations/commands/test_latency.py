"""`latency`: a table of figures, and an exit code that says whether all are met."""

from __future__ import annotations

import json

import pytest

from simulations.commands.program import main
from simulations.consensus import figures
from simulations.consensus.figures import Figure

MET = Figure("leader to commit", "D", 3.0, 3.0, is_exact=True)
MISSED = Figure("partition", "rounds", 11, 10)


def test_figures_are_shown_with_their_bounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(figures, "measure_all", lambda: iter([MET]))
    assert main(["latency"]) == 0
    shown = capsys.readouterr().out
    assert "= 3.00" in shown
    assert "1 figures, 0 missed" in shown


def test_figure_that_is_missed_is_told_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(figures, "measure_all", lambda: iter([MET, MISSED]))
    assert main(["latency"]) == 1
    assert "missed" in capsys.readouterr().out
    assert main(["latency", "--json"]) == 1
    assert [one["is_met"] for one in json.loads(capsys.readouterr().out)] == [True, False]
