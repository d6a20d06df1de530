"""What a command's exit code says, and which error means which."""

from __future__ import annotations

from typing import Final

from meshnode.errors import (
    CommandRejected,
    ConfigError,
    DeadlineExceeded,
    KeystoreError,
    MeshError,
    NoDaemon,
    NoPeerServes,
    Unavailable,
)

OK: Final = 0
FAILED: Final = 1
"""Something is degraded, a check failed, or the work could not be done."""
USAGE: Final = 2
NO_DAEMON: Final = 3
REFUSED: Final = 4
"""What was asked for is not allowed; nothing has changed."""
TIMED_OUT: Final = 5
INTERRUPTED: Final = 130
"""Ctrl-C; the shells' own number."""

_CODES: Final[tuple[tuple[type[MeshError], int], ...]] = (
    (NoDaemon, NO_DAEMON),
    (NoPeerServes, FAILED),
    (CommandRejected, REFUSED),
    (KeystoreError, REFUSED),
    (DeadlineExceeded, TIMED_OUT),
    (Unavailable, REFUSED),
    (ConfigError, USAGE),
    (MeshError, FAILED),
)


def get_exit_code(error: MeshError) -> int:
    """The exit code an error ends a command with."""
    return next(code for kind, code in _CODES if isinstance(error, kind))
