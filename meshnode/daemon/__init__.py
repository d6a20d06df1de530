"""The node as a process: what runs in it, and how it is started in the background."""

from __future__ import annotations

from meshnode.daemon.body import Daemon, run_daemon
from meshnode.daemon.spawn import Spawned, StartRequest, spawn_detached

__all__ = ["Daemon", "Spawned", "StartRequest", "run_daemon", "spawn_detached"]
