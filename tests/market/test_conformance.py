"""The door: streams in one line, cases one line each, and clear refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from market import conformance
from market.conformance import main

VECTORS = Path(__file__).parent / "vectors"
STREAMS = json.loads((VECTORS / "streams.json").read_text(encoding="utf-8"))
NAMES = "context_tokens, sla_bp, first_token_ms, reputation_bp, region, tee"
FACTS = ("trades", "volume", "resting", "levels", "trade_digest", "book_digest")


@pytest.mark.parametrize(
    "vector", [v for v in STREAMS if v["n"] == 1_000], ids=lambda v: v["workload"]
)
def test_stream_is_told_in_one_line(vector: dict[str, object], capsys: pytest.CaptureFixture[str]):
    workload = str(vector["workload"])
    assert main(["--workload", workload, "--n", "1000", "--seed", str(vector["seed"])]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{workload} n=1000 seed={vector['seed']} limits=")
    assert str({key: vector[key] for key in FACTS}) in out
    assert out.endswith(f" ops_digest={vector['ops_digest']}\n")


def test_capacity_takes_supply_and_slack(capsys: pytest.CaptureFixture[str]):
    vector = next(v for v in STREAMS if v["n"] == 5_000 and v["workload"] == "capacity")
    terms = ["--supply-bp", str(vector["supply_bp"]), "--slack", str(vector["slack"])]
    main(["--workload", "capacity", "-n", "5000", "--seed", str(vector["seed"]), *terms])
    assert vector["trade_digest"] in capsys.readouterr().out


def test_cases_of_the_vectors_pass(capsys: pytest.CaptureFixture[str]):
    assert main([str(VECTORS / "cases.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.endswith(" pass") for line in lines)


def test_failed_cases_say_where_and_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    offer = {"do": "limit", "id": 1, "owner": 1, "side": "offer", "price": 40, "lots": 2}
    cases = [
        {"id": "wrong", "steps": [{**offer, "expect": [["rest", 1, 3]]}]},
        {"id": "strange", "steps": [{**offer, "flags": ["gpu"]}]},
        {"id": "right", "steps": [offer]},
    ]
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"cases": cases}), encoding="utf-8")
    assert main([str(path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "wrong FAIL step 1: expected [['rest', 1, 3]] got [['rest', 1, 2]]",
        f"strange FAIL 'gpu' is no attribute here; there are {NAMES}",
        "right pass",
    ]


def test_file_is_refused_when_it_is_missing_malformed_or_too_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "cases.json"
    assert main([str(path)]) == 2
    path.write_text('{"cases": 1}', encoding="utf-8")
    assert main([str(path)]) == 2
    monkeypatch.setattr(conformance, "FILE_BYTES_MAX", 5)
    assert main([str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"{path} cannot be read: ") for line in lines] == [True] * 3
    assert lines[2].endswith("a file has at most 5 bytes")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.json", "--workload", "core"],
        ["--workload", "none"],
        ["--workload", "core", "--n", "-1"],
        ["--workload", "core", "--n", "10000001"],
        ["--workload", "capacity", "--slack", "-1"],
        ["--workload", "capacity", "--supply-bp", "-1"],
    ],
)
def test_arguments_are_refused_when_nothing_can_be_done_with_them(arguments: list[str]):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


@pytest.mark.parametrize("seed", ["0", "7"])
def test_outcome_is_the_same_in_processes_that_hash_differently(seed: str):
    command = [sys.executable, "-m", "market.conformance", "--workload", "full", "--n", "1000"]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    vector = next(v for v in STREAMS if (v["workload"], v["n"], v["seed"]) == ("full", 1_000, 1))
    assert vector["book_digest"] in done.stdout
