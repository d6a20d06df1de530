"""The runtime file leads to a running node, or to nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from meshnode import runtime_file
from meshnode.errors import NoDaemon, StorageError
from meshnode.private_files import write_private
from meshnode.runtime_file import (
    find_runtime,
    make_runtime_record,
    remove_runtime,
    require_runtime,
    write_runtime,
)
from meshnode.secret import Secret


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runtime.json"


@pytest.fixture
def record():
    return make_runtime_record(
        api="127.0.0.1:7077", token=Secret("canary"), since_ms=5, version="0.1.0"
    )


def test_running_node_is_found_until_it_removes_its_record(path, record):
    write_runtime(path, record)
    found = find_runtime(path)
    assert found == require_runtime(path)
    assert found == msgspec.structs.replace(record, folder=path.parent.stat().st_ino)
    remove_runtime(path)
    remove_runtime(path)
    assert find_runtime(path) is None


def test_record_in_a_copied_folder_leads_nowhere(path, record, tmp_path_factory):
    write_runtime(path, record)
    copy = tmp_path_factory.mktemp("copy") / path.name
    write_private(copy, path.read_bytes())
    assert find_runtime(copy) is None


def test_absent_record_is_no_daemon(path):
    with pytest.raises(NoDaemon, match="meshnode up"):
        require_runtime(path)


def test_record_of_an_ended_process_is_stale(path, record):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    stale = msgspec.structs.replace(record, pid=child.pid, started_ticks=0)
    write_runtime(path, stale)
    assert find_runtime(path) is None  # ended, not yet reaped
    child.wait()
    assert find_runtime(path) is None
    remove_runtime(path)
    assert path.exists()  # another process's record is left alone


def test_recycled_pid_is_another_process(path, record):
    write_runtime(path, msgspec.structs.replace(record, started_ticks=record.started_ticks + 1))
    assert find_runtime(path) is None


@pytest.mark.parametrize(
    ("pid", "running"),
    [(os.getpid(), True), (2**62, False), (0, False)],
    ids=["own", "impossible", "zero"],
)
def test_process_is_looked_up_by_signal_without_proc(path, record, monkeypatch, pid, running):
    monkeypatch.setattr(runtime_file, "_read_start_ticks", lambda pid: None)
    write_runtime(path, msgspec.structs.replace(record, pid=pid))
    assert (find_runtime(path) is not None) is running


def test_process_of_another_user_is_running(path, record, monkeypatch):
    def refuse(pid, signal):
        raise PermissionError

    monkeypatch.setattr(runtime_file, "_read_start_ticks", lambda pid: None)
    monkeypatch.setattr(os, "kill", refuse)
    write_runtime(path, record)
    assert find_runtime(path) is not None


def test_token_is_not_shown(record):
    assert "canary" not in repr(record)
    assert "canary" not in str(record)


@pytest.mark.parametrize("data", [b"{}", b'{"api": "\xff', b'{"x":' + b"[" * 4_000])
def test_damaged_record_is_named(path, data):
    write_private(path, data)
    with pytest.raises(StorageError, match="damaged"):
        find_runtime(path)
