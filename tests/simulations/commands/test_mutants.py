"""`mutants`: the score, shown as it is reached."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from simulations.commands import mutants
from simulations.commands.program import main
from simulations.fuzzing.mutants import MUTANTS
from simulations.fuzzing.mutation import Verdict

pytestmark = pytest.mark.usefixtures("quick")


def test_mutants_are_listed_and_counted(capsys: pytest.CaptureFixture[str]):
    arguments = ["mutants", "no-pull", "--seeds", "1", "--workers", "1"]
    assert main([*arguments, "--first-seed", "3"]) == 0
    assert "caught 1 of 1" in capsys.readouterr().out
    assert main(arguments) == 1
    assert "MISSED" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["caught"] is False


def test_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def score(names: list[str], **_named: object) -> Iterator[Verdict]:
        for name in names:
            check = "never: connection ended for silence"
            says = MUTANTS[name].says
            yield Verdict(mutant=name, says=says, caught=True, runs=200, seed=1, check=check)

    monkeypatch.setattr(mutants, "score", score)
    assert main(["mutants"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(MUTANTS) + 5
    assert max(map(len, lines)) <= 80
    assert "never: connection end…" in lines[-3]
    assert lines[-1] == f"caught {len(MUTANTS)} of {len(MUTANTS)}, each within 200 runs"


def test_mutants_show_what_is_done_when_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def score(*_arguments: object, **_named: object) -> Iterator[object]:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(mutants, "score", score)
    assert main(["mutants", "no-pull"]) == 130
    assert "caught 0 of 0" in capsys.readouterr().out


def test_mutants_refuses_a_name_there_is_none_of(capsys: pytest.CaptureFixture[str]):
    assert main(["mutants", "gremlin"]) == 2
    assert "no mutant is called gremlin" in capsys.readouterr().err
