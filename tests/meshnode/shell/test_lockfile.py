"""The lock of a journal: one holder, who is named to whoever comes second."""

from __future__ import annotations

import os
import stat

import pytest

from meshnode.errors import StorageError
from meshnode.shell.lockfile import LockFile


def test_lock_refuses_a_second_holder_and_names_the_first(tmp_path):
    path = tmp_path / "journal.lock"
    with LockFile(path), pytest.raises(StorageError, match=f"pid {os.getpid()}; stop that node"):
        LockFile(path).acquire()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lock_can_be_taken_again_after_release(tmp_path):
    path = tmp_path / "journal.lock"
    first = LockFile(path)
    first.acquire()
    first.release()
    first.release()
    with LockFile(path):
        pass


def test_lock_says_when_its_file_cannot_be_made(tmp_path):
    with pytest.raises(StorageError, match="cannot open"):
        LockFile(tmp_path / "missing" / "journal.lock").acquire()
