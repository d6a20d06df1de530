"""Real processes: good ones, and every way to go wrong."""

from __future__ import annotations

import select
import sys
import time

import pytest

from simulations.errors import SimulationError, Unreached
from simulations.maelstrom import processes
from simulations.maelstrom.checker import check
from simulations.maelstrom.clients import WrongAnswer
from simulations.maelstrom.plan import Plan
from simulations.maelstrom.processes import NodeGone, RealRun

LOCAL_SET = """
import json, sys
values = []
for line in sys.stdin:
    message = json.loads(line)
    body = message["body"]
    reply = {"type": body["type"] + "_ok", "in_reply_to": body["msg_id"]}
    if body["type"] == "add":
        values.append(body["element"])
    if body["type"] == "read":
        reply["value"] = values
    print(json.dumps({"src": message["dest"], "dest": message["src"], "body": reply}), flush=True)
"""
"""A program that keeps values to itself."""


def python(program):
    return (sys.executable, "-c", program)


def run(plan, program):
    with RealRun(plan, python(program)) as real:
        return real.run()


@pytest.mark.e2e
def test_five_processes_agree_after_partitions():
    told: list[str] = []
    plan = Plan(
        nodes=5, latency_ms=20, time_limit_ms=3_000, quiet_ms=2_500, partitions=True,
        partition_ms=700, rate=20.0,
    )  # fmt: skip
    with RealRun(plan, tell=told.append) as real:
        trial = real.run()
    verdict = check(trial.clients.history)
    assert verdict.is_valid, verdict
    assert verdict.acknowledged > 10 and trial.network.lost > 0
    assert any(line.startswith("parted") for line in told)


def test_program_that_keeps_values_to_itself_is_found_out():
    plan = Plan(workload="g-set", nodes=2, time_limit_ms=500, quiet_ms=0, rate=50.0)
    verdict = check(run(plan, LOCAL_SET).clients.history)
    assert verdict.lost and not verdict.phantoms


def test_run_ends_with_the_last_words_of_a_program_that_ends():
    with pytest.raises(NodeGone, match="n1 ended by itself; its last words: ValueError: boom"):
        run(Plan(nodes=1), "raise ValueError('boom')")


@pytest.fixture
def program(request):
    program = processes._Program("n1", python(request.param))
    yield program
    program.process.kill()
    program.close()
    program.end(time.monotonic() + 10)


@pytest.mark.parametrize(
    "program", ["import os, time; os.close(0); print(flush=True); time.sleep(60)"], indirect=True
)
def test_program_is_gone_when_it_has_closed_its_input(program):
    select.select([program.stdout], [], [])
    program.queue(b"line")
    with pytest.raises(NodeGone, match="n1 ended by itself"):
        program.write()


@pytest.mark.parametrize("program", ["import time; time.sleep(60)"], indirect=True)
def test_lines_wait_when_a_program_is_slow_to_read(program):
    program.queue(bytes(1 << 20))
    program.write()
    left = len(program.backlog)
    assert 0 < left < 1 << 20
    program.write()
    assert len(program.backlog) == left


def test_log_ends_before_the_program_does():
    plan = Plan(workload="g-set", nodes=1, time_limit_ms=100, quiet_ms=0)
    verdict = check(run(plan, "import os; os.close(2)" + LOCAL_SET).clients.history)
    assert verdict.is_valid


def test_run_ends_when_a_program_breaks_the_protocol():
    with pytest.raises(WrongAnswer, match="n1 wrote no message"):
        run(Plan(nodes=1), "print('hello', flush=True); input(); input()")


def test_run_ends_when_a_program_does_not_answer():
    with pytest.raises(Unreached, match="no answer to init from n1"):
        run(Plan(nodes=1, start_timeout_ms=300), "import sys; sys.stdin.read()")


def test_run_ends_when_a_program_does_not_read(monkeypatch):
    monkeypatch.setattr(processes, "BACKLOG_BYTES_MAX", 10)
    with pytest.raises(NodeGone, match="n1 does not read"):
        run(Plan(nodes=1), "input()")


def test_program_is_killed_when_it_does_not_end(monkeypatch):
    monkeypatch.setattr(processes, "END_TIMEOUT_S", 0.1)
    begun_s = time.monotonic()
    with RealRun(Plan(nodes=1), python("import time; time.sleep(60)")) as real:
        process = real._programs["n1"].process
    assert process.returncode == -9
    assert time.monotonic() - begun_s < 30


def test_run_is_refused_when_the_program_cannot_be_started():
    with pytest.raises(SimulationError, match="cannot be started"):
        RealRun(Plan(nodes=2), ("/nonexistent/program",))
