"""Cleans up after a demo, whatever happened to the demo itself: `janitor.py FOLDER`.

A process of its own session, so that neither Ctrl-C nor a kill of the demo reaches it. When its
standard input ends, because the demo closed it or was killed, it ends the nodes that are left,
which it knows by the folder in their command lines, and removes the folder. It imports nothing of
the package, and so starts in no time.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Final

GRACE_S: Final = 5.0
_POLL_S: Final = 0.02


def main() -> None:
    """Wait for the end of the demo, then clean up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = sys.argv[1]
    while sys.stdin.buffer.read(4_096):
        pass
    end_processes(folder, grace_s=GRACE_S)
    shutil.rmtree(folder, ignore_errors=True)


def end_processes(folder: str, *, grace_s: float) -> None:
    """End the processes that work in a folder: gently at first, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in find_processes(folder):
            _send(pid, number)
        end = time.monotonic() + grace_s
        while time.monotonic() < end:
            if not find_processes(folder):
                return
            time.sleep(_POLL_S)


def find_processes(folder: str) -> list[int]:
    """Processes with an argument inside the folder, but for this one.

    Systems without /proc show none: their nodes end by themselves, because they are tied to the
    demo.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or belongs to somebody else
        inside = any(part.startswith(f"{folder}/".encode()) for part in arguments)
        if inside and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    main()
