"""One process per journal: an advisory lock that names its holder and dies with it."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from meshnode.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class LockFile:
    """An exclusive lock on a file that holds the pid of its owner.

    The kernel releases it when the process ends, however it ends, so no stale lock can remain; the
    file itself stays, because deleting a locked file would let two processes lock two files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock. Raises `StorageError` naming the process that holds it."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"cannot open {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StorageError(
                f"the journal in {self._path.parent} is open in another process, pid {holder}",
                hint="stop that node first",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
