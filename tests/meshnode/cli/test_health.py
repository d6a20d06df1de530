"""`meshnode health`: an exit code that a container can be watched by."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from meshnode.errors import NoDaemon
from meshnode.gateway.port import Phase
from meshnode.runtime_file import make_runtime_record, write_runtime
from meshnode.secret import Secret
from tests.support.cli import run_command
from tests.support.fake_node import open_gateway


@pytest.fixture
def served(home):
    """A gateway in another thread, whose runtime file is in the home folder."""
    home.mkdir(mode=0o700)
    started = threading.Event()
    hosts: list[Any] = []
    stop = asyncio.Event()

    async def serve():
        async with open_gateway(home) as (host, _):
            hosts.extend((host, asyncio.get_running_loop()))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    host, loop = hosts
    yield host
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def test_ready_node_is_exit_0(capsys, served):
    outcome = run_command(capsys, "health")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "ready, for 0 s"
    assert lines[1].split() == ["ok", "phase", "ready", "for", "0", "s"]
    assert run_command(capsys, "health", "--ready").out == outcome.out
    assert run_command(capsys, "health", "--live").out == "live\n"


def test_node_that_loads_is_exit_1_but_live(capsys, served):
    served.phase = Phase(name="loading", detail="x\x1b[2J", elapsed_ms=61_000)
    outcome = run_command(capsys, "health")
    assert (outcome.code, outcome.out.splitlines()[0]) == (1, "not ready: loading for 61 s")
    assert "fail phase" in outcome.out
    assert run_command(capsys, "health", "--live").code == 0
    document = run_command(capsys, "health", "--json").document
    assert (document["schema"], document["ready"]) == ("meshnode.readiness/1", False)


def test_live_tells_who_it_is(capsys, served):
    document = run_command(capsys, "health", "--live", "--json").document
    assert (document["live"], document["program"]) == (True, "meshnode")


def test_what_only_people_care_for_is_a_warning(capsys, served):
    outcome = run_command(capsys, "health")
    assert outcome.code == 0
    assert {line.split()[0] for line in outcome.out.splitlines()[1:]} <= {"ok", "warn"}


def test_both_questions_at_once_are_refused(capsys, served):
    assert run_command(capsys, "health", "--live", "--ready").code == 2


def test_no_node_is_exit_3(capsys):
    outcome = run_command(capsys, "health")
    assert outcome.code == 3
    assert "no node runs" in outcome.err


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\n[]", b"HTTP/1.0 200 OK\r\n\r\n{"])
def test_what_is_no_node_is_exit_3(capsys, home, answer):
    import socket

    home.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as server:
        api = f"127.0.0.1:{server.getsockname()[1]}"
        record = make_runtime_record(api=api, token=Secret("t" * 43), since_ms=5, version="0.1.0")
        write_runtime(home / "runtime.json", record)

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.recv(4_096)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        outcome = run_command(capsys, "health")
        thread.join(10)
    assert outcome.code == 3
    assert "no node" in outcome.err or "does not answer" in outcome.err


def test_error_names_no_token():
    assert NoDaemon.code == "no_daemon"
