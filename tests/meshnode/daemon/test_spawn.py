"""Starting in the background: ready, or the reason why not, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from meshnode.daemon import spawn
from meshnode.daemon.report import Reporter
from meshnode.daemon.spawn import StartRequest, spawn_detached
from meshnode.errors import ConfigError, DeadlineExceeded, MeshError
from meshnode.gateway.port import Phase

READY = 'print(\'{"type":"ready","pid":1,"api":"127.0.0.1:9"}\', file=report, flush=True)\n'
WAIT = "import signal; signal.pause()\n"


def read_command_line(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def count_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Let a script stand in for the node's process; `report` is its end of the pipe."""
    children: list[subprocess.Popen] = []
    interpreter = sys.executable

    def use(text):
        path = tmp_path / "node.py"
        path.write_text("import os, sys\nreport = os.fdopen(int(sys.argv[1]), 'w')\n" + text)
        launcher = tmp_path / "python"
        launcher.write_text(f'#!/bin/sh\nexec "{interpreter}" "{path}" "$3" "$4"\n')
        launcher.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(launcher))
        real = spawn._start

        def start(*args):
            children.append(real(*args))
            return children[-1]

        monkeypatch.setattr(spawn, "_start", start)
        return children

    yield use
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


@pytest.fixture
def request_(tmp_path):
    return StartRequest(home=str(tmp_path / "home"), passphrase="canary")


async def test_ready_node_runs_on_and_its_phases_were_heard(script, request_):
    children = script(
        'print(\'{"type":"phase","detail":"loading"}\', file=report)\n' + READY + WAIT
    )
    phases: list[str] = []
    spawned = await spawn_detached(request_, on_phase=phases.append)
    assert (spawned.api, spawned.pid, phases) == ("127.0.0.1:9", children[0].pid, ["loading"])
    assert children[0].poll() is None
    assert os.getsid(spawned.pid) == spawned.pid
    assert spawned.log_path.read_bytes() == b""


async def test_orders_go_through_stdin_and_are_not_in_ps(script, request_):
    script("print(sys.stdin.read(), file=sys.stderr, flush=True)\n" + READY + WAIT)
    spawned = await spawn_detached(request_)
    orders = msgspec.json.decode(spawned.log_path.read_bytes().strip(), type=StartRequest)
    assert orders == request_
    assert b"canary" not in read_command_line(spawned.pid)
    assert "canary" not in repr(request_)


async def test_reason_of_a_failed_start_keeps_its_class(script, request_):
    script(
        'print(\'{"type":"failed","error":{"code":"config_error","message":"m","hint":"h"}}\','
        " file=report)\n"
    )
    with pytest.raises(ConfigError, match="m; h"):
        await spawn_detached(request_)


async def test_process_that_just_ends_points_to_its_log(script, request_):
    script("print('boom', file=sys.stderr)\nsys.exit(3)\n")
    with pytest.raises(MeshError, match=r"ended while it started.*node\.log"):
        await spawn_detached(request_)


@pytest.mark.parametrize("extra", ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"])
async def test_start_that_takes_too_long_is_stopped(script, request_, monkeypatch, extra):
    monkeypatch.setattr(spawn, "_STOP_GRACE_S", 0.2)
    children = script("import signal\n" + extra + "signal.pause()\n")
    with pytest.raises(DeadlineExceeded, match="not ready within"):
        await spawn_detached(request_, timeout_ms=1_000)
    assert children[0].poll() is not None


async def test_cancelled_start_is_stopped(script, request_):
    children = script('print(\'{"type":"phase","detail":"x"}\', file=report, flush=True)\n' + WAIT)
    begun = asyncio.Event()
    starting = asyncio.create_task(spawn_detached(request_, on_phase=lambda _: begun.set()))
    await begun.wait()
    starting.cancel()
    await asyncio.wait({starting})
    assert starting.cancelled()
    assert children[0].poll() == -signal.SIGTERM


async def test_large_log_is_put_aside(script, request_, monkeypatch):
    monkeypatch.setattr(spawn, "LOG_BYTES_MAX", 3)
    logs = Path(request_.home) / "logs"
    logs.mkdir(parents=True)
    (logs / "node.log").write_text("old log")
    script(READY + WAIT)
    spawned = await spawn_detached(request_)
    assert (logs / "node.log.1").read_text() == "old log"
    assert spawned.log_path.read_text() == ""


async def test_program_that_cannot_be_started_leaves_no_pipe(request_, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nothing/here")
    before = count_descriptors()
    with pytest.raises(FileNotFoundError):
        await spawn_detached(request_)
    assert count_descriptors() == before


def test_reporter_writes_lines_until_ready_and_survives_a_gone_reader():
    reader, writer = os.pipe()
    reporter = Reporter(writer)
    reporter.report_phase(Phase(name="loading", detail="d", elapsed_ms=0), api="a")
    reporter.report_phase(Phase(name="ready", detail="", elapsed_ms=0), api="b")
    reporter.report_failure(MeshError("too late"))
    lines = [msgspec.json.decode(line) for line in os.read(reader, 4_096).splitlines()]
    assert lines == [
        {"type": "phase", "phase": "loading", "detail": "d", "api": "a"},
        {"type": "ready", "pid": os.getpid(), "api": "b"},
    ]
    os.close(reader)
    reader, writer = os.pipe()
    os.close(reader)
    Reporter(writer).report_failure(MeshError("nobody listens"))
