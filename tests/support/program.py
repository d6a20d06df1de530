"""Running the program as people do: real processes, in home folders of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 90


def make_environment() -> dict[str, str]:
    """This process's environment without anybody's settings of nodes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MESHNODE_")}


@dataclass(frozen=True)
class Machine:
    """A home folder, and the program run with it."""

    home: Path

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "meshnode", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=make_environment() | {"MESHNODE_HOME": str(self.home)},
            check=False,
        )

    def succeed(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}{done.stdout}"
        return done.stdout

    def up(self, *arguments: str) -> str:
        return self.succeed(
            *("up", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"), *arguments
        )

    def is_running(self) -> bool:
        return (self.home / "runtime.json").exists()


@contextmanager
def open_machine(home: Path) -> Iterator[Machine]:
    """A machine whose node is stopped in the end."""
    machine = Machine(home)
    try:
        yield machine
    finally:
        if machine.is_running():
            machine.run("down")
