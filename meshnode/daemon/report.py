"""What a starting process tells the one that started it: JSON lines through a pipe.

{"type": "phase", "phase": ..., "detail": ..., "api": ...}    any number
{"type": "ready", "pid": ..., "api": ...}                     the last, or
{"type": "failed", "error": {...}}                            the last
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from meshnode.gateway.problems import make_problem

if TYPE_CHECKING:
    from meshnode.errors import MeshError
    from meshnode.gateway.port import Phase


class Reporter:
    """The writing end. Nobody listening is no failure: the node runs for itself."""

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd

    def report_phase(self, phase: Phase, *, api: str) -> None:
        """A phase began; the first 'ready' is the last line."""
        if phase.ready:
            self._write({"type": "ready", "pid": os.getpid(), "api": api})
            self._close()
        else:
            self._write({"type": "phase", "phase": phase.name, "detail": phase.detail, "api": api})

    def report_failure(self, error: MeshError) -> None:
        """The process ends with this error."""
        self._write({"type": "failed", **make_problem(error)})
        self._close()

    def _write(self, line: dict[str, Any]) -> None:
        if self._fd is not None:
            with suppress(BrokenPipeError):
                os.write(self._fd, msgspec.json.encode(line) + b"\n")

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
