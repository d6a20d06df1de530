"""Private files are whole, bounded and nobody else's."""

from __future__ import annotations

import os
import stat

import pytest

from meshnode.errors import StorageError
from meshnode.private_files import make_private_folder, read_private, remove_file, write_private


def test_write_private_replaces_content_with_mode_0600(tmp_path):
    path = tmp_path / "file"
    write_private(path, b"old")
    write_private(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_write_private_keeps_the_old_content_when_replacing_fails(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_private(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_read_private_answers_none_when_absent(tmp_path):
    assert read_private(tmp_path / "absent", bytes_max=1) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_read_private_refuses_files_of_others_with_the_fix(tmp_path, mode):
    path = tmp_path / "file"
    write_private(path, b"x")
    path.chmod(mode)
    with pytest.raises(StorageError, match="chmod 600"):
        read_private(path, bytes_max=1)


def test_read_private_refuses_what_is_too_large_or_no_file(tmp_path):
    path = tmp_path / "file"
    write_private(path, b"xx")
    with pytest.raises(StorageError, match="larger than 1 bytes"):
        read_private(path, bytes_max=1)
    with pytest.raises(StorageError, match="cannot be read"):
        read_private(tmp_path, bytes_max=1)
    with pytest.raises(StorageError, match="not a regular file"):
        read_private(type(path)("/dev/null"), bytes_max=1)


def test_make_private_folder_makes_parents_and_names_what_is_in_the_way(tmp_path):
    make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be made"):
        make_private_folder(tmp_path / "file" / "b")


def test_remove_file_ignores_absence_and_names_failures(tmp_path):
    remove_file(tmp_path / "absent")
    with pytest.raises(StorageError, match="cannot be removed"):
        remove_file(tmp_path)
