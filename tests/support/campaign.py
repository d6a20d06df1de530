"""Runs a campaign in a process of its own, as its door does."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.source_tree import ROOT


def run_campaign(name: str, *arguments: str, timeout_s: int) -> str:
    """What it printed; it must have ended well."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MESHNODE_")}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.campaigns.{name}", *arguments],
        cwd=ROOT,
        env=environ,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stdout[-8_000:]
    return done.stdout
