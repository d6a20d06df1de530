"""`list`: every scenario with its question."""

from __future__ import annotations

import json

import pytest

from simulations.commands.program import main
from simulations.scenarios.catalogue import names


def test_list_shows_every_scenario_in_80_columns(capsys: pytest.CaptureFixture[str]):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in names():
        assert f"\n {name} " in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_list_tells_programs_all_there_is(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in document] == list(names())
    assert all(one["question"] and one["measure"] for one in document)
