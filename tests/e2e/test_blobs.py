"""Blobs with real processes: a file over commands, and a fetcher that is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from meshnode.blobs.files import ChunkFile
from meshnode.blobs.records import read_record
from meshnode.core.blob_manifest import CHUNK_BYTES_MIN, decode_manifest
from tests.support.program import make_environment, open_machine
from tests.vectors.generate_blobs import make_content

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SIZE_BYTES = 50_000_000
WAIT_S = 60
ATTEMPTS = 5
OVERHEAD_BYTES = 4_000_000
"""What two nodes say to each other beside chunks, and chunks under way at the kill."""


@pytest.fixture
def pair(tmp_path):
    """Two machines in one mesh; nothing answers questions there."""
    with open_machine(tmp_path / "a") as a, open_machine(tmp_path / "b") as b:
        a.up("--engine", "none")
        ticket = a.succeed("invite", "--json")
        b.succeed(
            *("join", json.loads(ticket)["ticket"], "--api", "127.0.0.1:0"),
            *("--listen", "/ip4/127.0.0.1/tcp/0"),
        )
        yield a, b


def put(machine, tmp_path):
    """A large file as a blob there; answers its id and its content."""
    content = make_content(SIZE_BYTES)
    path = tmp_path / "large.bin"
    path.write_bytes(content)
    return json.loads(machine.succeed("blob", "put", str(path), "--json"))["id"], content


def kill_fetching(machine, blob_id):
    """Kill a node with SIGKILL while it fetches; answers how many chunks are on its disk."""
    folder = next(machine.home.glob("networks/*/blobs/partial"))
    data, record = folder / f"{blob_id}.data", folder / f"{blob_id}.record"
    for _ in range(ATTEMPTS):
        kill_when_some_is_there(machine, blob_id, data)
        if data.exists() and record.exists():
            return count_chunks(data, record)
        machine.up()  # it was done first: once more from the beginning
        machine.succeed("blob", "rm", blob_id, "--force")
    raise AssertionError("every fetch was done before the node was killed")


def kill_when_some_is_there(machine, blob_id, data):
    command = [sys.executable, "-m", "meshnode", "blob", "get", blob_id, "-o", os.devnull]
    environment = make_environment() | {"MESHNODE_HOME": str(machine.home)}
    pid = json.loads((machine.home / "runtime.json").read_text(encoding="utf-8"))["pid"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as getting:
        until_s = time.monotonic() + WAIT_S
        while getting.poll() is None and count_written(data) < 4 * CHUNK_BYTES_MIN:
            assert time.monotonic() < until_s, "nothing is fetched"
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        getting.wait(timeout=WAIT_S)


def count_written(path):
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def count_chunks(data, record_path):
    record = read_record(record_path.read_bytes())
    assert record is not None
    file = ChunkFile(data, decode_manifest(record.manifest, record.id))
    held = file.find_held()
    file.close()
    return held.bit_count()


def count_received(machine):
    counters = json.loads(machine.succeed("status", "--json"))["counters"]
    return counters["bytes_received"]


def test_killed_fetcher_goes_on_and_fetches_nothing_twice(pair, tmp_path):
    a, b = pair
    blob_id, content = put(a, tmp_path)
    held = kill_fetching(b, blob_id)
    assert held >= 1
    b.up()
    copy = tmp_path / "copy.bin"
    b.succeed("blob", "get", blob_id, "-o", str(copy), "--timeout", "60")
    assert copy.read_bytes() == content
    missing = SIZE_BYTES - held * CHUNK_BYTES_MIN
    assert count_received(b) <= missing + OVERHEAD_BYTES
    shown = json.loads(b.succeed("blob", "show", blob_id[:8], "--json"))
    assert (shown["whole"], shown["own"]) == (True, False)
