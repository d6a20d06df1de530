"""`abuse`: the table of attacks, without and with their defences."""

from __future__ import annotations

import json

import pytest

from simulations.abuse.catalogue import ROWS
from simulations.abuse.rows import Record, Row
from simulations.commands import abuse
from simulations.commands.program import main


def measure(row: Row, seed: int) -> Record:
    return Record(
        row=row.name,
        attack=row.attack,
        defence=row.defence,
        code=row.code,
        figure=row.figure,
        seed=seed,
        without=10_000_000,
        guarded=row.bound + (row.name == "stolen-proof"),
        bound=row.bound,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abuse, "measure", measure)


def test_one_attack_is_mounted(capsys: pytest.CaptureFixture[str]):
    assert main(["abuse", "--row", "stolen-proof"]) == 0
    out = capsys.readouterr().out
    assert "stolen-proof" in out
    assert "1 of 1 defences keep their bound" in out


@pytest.mark.usefixtures("quick")
def test_all_attacks_are_mounted_and_a_broken_bound_is_told(capsys: pytest.CaptureFixture[str]):
    assert main(["abuse"]) == 1
    out = capsys.readouterr().out
    assert f"{len(ROWS) - 1} of {len(ROWS)} defences" in out
    assert "does not hold" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.usefixtures("quick")
def test_records_are_one_document(capsys: pytest.CaptureFixture[str]):
    arguments = ["abuse", "--json", "--seed", "5", "--row", "withholding", "--row", "stolen-proof"]
    assert main(arguments) == 1
    records = json.loads(capsys.readouterr().out)
    assert [record["row"] for record in records] == ["withholding", "stolen-proof"]
    assert [record["holds"] for record in records] == [True, False]
    assert {record["seed"] for record in records} == {5}


def test_unknown_attack_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]):
    assert main(["abuse", "--row", "boredom"]) == 2
    err = capsys.readouterr().err
    assert "no attack is called boredom" in err
    assert "withholding" in err
