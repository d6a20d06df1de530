"""The door for other implementations, and our own cases played through it."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest

from consensus.conformance import CaseSchedule, main, run
from tests.support.lattice import make_block

CASES = Path(__file__).parent / "cases"
FILES = sorted(CASES.glob("*.json"))


def load(name: str):
    return json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_own_cases_pass(file: Path):
    lines = list(run(json.loads(file.read_text(encoding="utf-8"))))
    assert lines
    assert [line for line, passed in lines if not passed] == []
    assert all(line.endswith(" pass") for line, _ in lines)


def failures(document) -> list[str]:
    return [line for line, passed in run(document) if not passed]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expect_slots", [[3, 3, "skip", "direct"]]),
        ("expect_sequence_length", 9),
        ("expect_sequence_length_by_highest_round", [0, 0, 0, 0, 9]),
    ],
)
def test_wrong_expectation_fails_its_case_only(key: str, value):
    cases = load("commit")["commit_cases"][5:8]
    cases[1][key] = value
    (line,) = failures({"commit_cases": cases})
    assert line.startswith(f"{cases[1]['id']} FAIL expected {value}")


def test_wrong_expectations_fail_in_every_section():
    linear, clock, validity = load("linearize"), load("clock"), load("validity")
    del validity["validity"]["cases"][3:]
    linear["linearize"]["cases"][0]["expect_subdags"].pop()
    clock["clock"]["cases"][0]["events"][2][2] = 9
    validity["validity"]["cases"][0]["expect"] = "reject"
    for document in (linear, clock, validity):
        assert len(failures(document)) == 1


def test_case_that_is_not_in_the_notation_fails_with_its_reason():
    base = load("commit")["commit_cases"][3]
    changes: list[dict[str, object]] = [
        {"layers": [{"r": 1, "b": {"0": "9.9"}}]},
        {"layers": [{"r": "1-2", "all": "*"}, {"r": 3, "b": {"0": "0.2"}}]},
        {"wave": 5},
        {"n": "four"},
    ]
    cases = [{**deepcopy(base), **change} for change in changes]
    del cases[0]["id"]
    lines = failures({"commit_cases": cases})
    assert len(lines) == 4
    assert lines[0].startswith("? FAIL expected a case of the notation")
    assert "said to be valid" in lines[1]
    assert "InvalidProtocol" in lines[2]


def test_blocks_that_are_not_said_to_be_valid_are_played_as_they_stand():
    layers = [{"r": "1-2", "all": "*"}, {"r": 3, "b": {"0": "0.2", "1": "*"}}]
    case = {"id": "X", "n": 4, "layers": layers, "expect_subdags": []}
    assert failures({"linearize": {"cases": [case]}}) == []


def test_tie_rules_are_played_as_the_case_has_them():
    case = next(case for case in load("commit")["commit_cases"] if case.get("tie") == "min")
    del case["expect_slots_tie_skip"]
    assert failures({"commit_cases": [case]}) == []


def test_table_of_leaders_and_turns_of_the_schedule():
    table = CaseSchedule({"leaders": {"2": [3, 1], "3": 2}}, 4, 3)
    assert [table.get_leaders(round_) for round_ in (1, 2, 3)] == [(), (3, 1), (2,)]
    rule = {"schedule_rule": {"offset_by_commits": [[1, 2]]}}
    turning = CaseSchedule(rule, 4, 3)
    assert turning.observe(make_block(1, 1), [], b"")
    assert not turning.observe(make_block(2, 2), [], b"")
    assert (turning.get_leaders(1), turning.get_leaders(2)) == ((1,), (0,))
    sparse = CaseSchedule({"pipeline": False, "leaders_per_round": 2}, 4, 3)
    assert [sparse.get_leaders(round_) for round_ in (1, 2, 3)] == [(), (), (3, 0)]


def test_command_prints_a_line_per_case_and_fails_if_one_did(tmp_path: Path, capsys):
    assert main([str(CASES / "clock.json")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "K51 pass"
    broken = load("clock")
    broken["clock"]["cases"][0]["events"][0][2] = 7
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(broken), encoding="utf-8")
    assert main([str(path)]) == 1
    assert "K51 FAIL expected [0, 1, 7] got [0, 1, 0]" in capsys.readouterr().out


def test_command_says_what_it_cannot_read(tmp_path: Path, capsys):
    assert main([]) == 2
    assert main([str(tmp_path / "none.json")]) == 2
    path = tmp_path / "list.json"
    path.write_text("[]", encoding="utf-8")
    assert main([str(path)]) == 2
    assert capsys.readouterr().err.count("cannot be read") == 2


def test_module_runs_as_a_command():
    command = [sys.executable, "-m", "consensus.conformance", str(CASES / "clock.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("K51 pass\n")
