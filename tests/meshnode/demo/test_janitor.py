"""The janitor ends what is left in a folder, and removes it."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from types import SimpleNamespace

from meshnode.demo import janitor

SLEEP = "import sys, time; print('up', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


def start(code, folder):
    process = subprocess.Popen(
        [sys.executable, "-c", code, f"{folder}/node"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_janitor_ends_processes_and_removes_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / "demo"
    (folder / "node").mkdir(parents=True)
    process = start(SLEEP, folder)
    monkeypatch.setattr("sys.argv", ["janitor", str(folder)])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"x")))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with process:
        assert janitor.find_processes(str(folder)) == [process.pid]
        janitor.main()
        assert process.wait(10) == -signal.SIGTERM
    assert not folder.exists()


def test_janitor_insists(tmp_path):
    with start(DEAF, tmp_path) as process:
        janitor.end_processes(str(tmp_path), grace_s=0.1)
        assert process.wait(10) == -signal.SIGKILL


def test_janitor_leaves_others_alone(tmp_path):
    with start(SLEEP, tmp_path / "other") as process:
        janitor.end_processes(str(tmp_path / "demo"), grace_s=0.1)
        assert process.poll() is None
        process.kill()


def test_janitor_minds_no_process_that_is_gone():
    janitor._send(999_999_999, signal.SIGTERM)
