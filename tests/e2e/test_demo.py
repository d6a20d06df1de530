"""The demo: a real mesh, and nothing left of it, however it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshnode.demo.janitor import find_processes
from tests.support.program import make_environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

GONE_S = 20


def start_demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "meshnode", "demo", "--engine", "echo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=make_environment() | {"TMPDIR": str(folder)},
    )


def assert_nothing_left(folder: Path) -> None:
    end = time.monotonic() + GONE_S
    while list(folder.iterdir()) or find_processes(str(folder)):
        assert time.monotonic() < end, [*folder.iterdir(), *find_processes(str(folder))]


def test_demo_answers_agrees_and_ends_by_itself(tmp_path):
    folder, drawing = tmp_path / "tmp", tmp_path / "dag.svg"
    folder.mkdir()
    process = start_demo(folder, "--nodes", "3", "--exit", "--svg", str(drawing))
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert out.count("-- ada, echo: ") == 3
    assert re.search(r"equal on all 3 nodes: \d+ vertices", out)
    assert "every result was on all nodes within" in out
    assert len(re.findall(r"-- final after \d+(\.\d)? m?s, in commit \d+", out)) == 3
    assert "answered by" in out
    assert drawing.read_text().startswith("<svg")
    assert all(len(line) <= 100 for line in out.splitlines())
    assert_nothing_left(folder)


def test_demo_as_json_is_one_document(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "meshnode", "demo", "--nodes", "2", "--engine", "echo"),
            *("--exit", "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env=make_environment() | {"TMPDIR": str(tmp_path)},
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["schema"] == "meshnode.demo/1"
    assert document["ok"] is True
    assert len(document["answers"]) == 3
    commits = [answer["commit"] for answer in document["answers"]]
    assert commits == sorted(commits)
    assert None not in commits
    assert {heads["digest"] for heads in document["heads"]} == {document["heads"][0]["digest"]}
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_demo_leaves_nothing_behind_when_it_is_ended(tmp_path, number):
    process = start_demo(tmp_path, "--nodes", "2")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "meshnode dag verify" in line:
            break
    else:
        pytest.fail("".join(lines))
    assert len(find_processes(str(tmp_path))) == 3  # two nodes and the janitor
    process.send_signal(number)
    process.stdout.close()
    process.wait(60)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_demo_leaves_nothing_behind_when_it_is_ended_early(tmp_path, number):
    process = start_demo(tmp_path, "--nodes", "2")
    assert process.stdout is not None
    assert "starting ada" in process.stdout.readline()
    process.send_signal(number)
    process.stdout.close()
    process.wait(60)
    assert_nothing_left(tmp_path)
