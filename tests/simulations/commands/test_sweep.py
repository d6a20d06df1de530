"""`sweep`: its closing line, its parts, its exit codes, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simulations.commands.program import main
from simulations.results import Record, Task
from simulations.scenarios import execute as execute_module
from simulations.sweeps.store import Store
from tests.support.waiting import wait_until

SMALL = ("--seeds", "2", "--set", "nodes=30", "--set", "fanout=[1, 2, 4]")


def sweep(results: Path, *arguments: str) -> int:
    return main(["sweep", "reach", *SMALL, "--results", str(results), *arguments])


def sweep_for_json(capsys, results: Path, *arguments: str) -> dict[str, object]:
    assert sweep(results, "--json", *arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def replace_execute(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Task], Record]], None]:
    return lambda function: monkeypatch.setattr(execute_module, "execute", function)


def test_a_real_scenario_is_the_same_in_serial_in_processes_and_in_shards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    serial = sweep_for_json(capsys, tmp_path / "serial", "--engine", "serial")
    processes = sweep_for_json(capsys, tmp_path / "processes", "--workers", "2")
    parts = [
        sweep_for_json(capsys, tmp_path / "parts", "--engine", "serial", "--shard", f"{part}/3")
        for part in (1, 2, 3)
    ]
    whole = sweep_for_json(capsys, tmp_path / "parts", "--engine", "serial")
    assert serial["run"] == processes["run"] == 6
    assert [whole["run"], whole["resumed"]] == [0, 6]
    assert sum(int(str(part["run"])) for part in parts) == 6
    assert serial["digest"] == processes["digest"] == whole["digest"]


def test_the_closing_line_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert sweep(tmp_path, "--engine", "serial") == 0
    assert sweep(tmp_path, "--engine", "serial", "--first-seed", "1") == 0
    *_, done, further = capsys.readouterr().out.splitlines()
    assert done.startswith("done: 6 runs of reach, 0 failed, 3 resumed")
    assert further == f"see it: python -m simulations report {tmp_path}"


def test_a_failed_run_is_told_and_retried_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], replace_execute
):
    real = execute_module.execute

    def fail(task: Task) -> Record:
        if task.seed == 1 and task.parameters["fanout"] == 2:
            return Record(key=task.key, task=task, error="bad luck")
        return real(task)

    replace_execute(fail)
    assert sweep(tmp_path, "--engine", "serial") == 1
    out, err = capsys.readouterr()
    assert "6 runs of reach, 1 failed" in out
    assert err == "seed 1 failed: bad luck\n"
    replace_execute(real)
    assert sweep(tmp_path, "--engine", "serial") == 1
    assert sweep(tmp_path, "--engine", "serial", "--retry-failed") == 0
    assert "0 failed, 5 resumed" in capsys.readouterr().out


def test_a_file_is_kept_beside_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\nmeasure = "push"\nseeds = 1\n'
        "[parameters]\nnodes = 20\n"
    )
    results = tmp_path / "results"
    arguments = ["sweep", str(mine), "--engine", "serial", "--results", str(results)]
    assert main(arguments) == 0
    mine.unlink()
    assert main(["report", str(results), "--json"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert document["reports"] == [str(results / "reports/mine/index.html")]


def test_an_interrupt_ends_with_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], replace_execute
):
    real = execute_module.execute

    def interrupt(task: Task) -> Record:
        if task.seed == 1:
            raise KeyboardInterrupt
        return real(task)

    replace_execute(interrupt)
    assert sweep(tmp_path, "--engine", "serial") == 130
    out = capsys.readouterr().out
    assert out.startswith("interrupted: 1 of 6 runs of reach")
    assert out.endswith("the same command resumes\n")


def test_ctrl_c_keeps_what_is_done(tmp_path: Path):
    """As in a terminal: the whole group of processes hears it."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "simulations",
            "sweep",
            "reach",
            "--seeds",
            "2000",
            "--workers",
            "2",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        wait_until(lambda: any(Store(tmp_path / "results")))
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == ""
    assert out.startswith("interrupted: ")
    assert len(list(Store(tmp_path / "results"))) >= 1
