"""Files that only their owner may read, written so that a crash leaves the old or the new one."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING, Final

from meshnode.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER_MODE: Final = 0o700


def make_private_folder(path: Path) -> None:
    """Create a folder (and its parents) that only its owner may enter."""
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"folder {path} cannot be made: {error.strerror}",
            hint="choose another with --home or MESHNODE_HOME",
        ) from None


def write_private(path: Path, data: bytes) -> None:
    """Replace a file at once: readers see all of the old content or all of the new."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105 - mkstemp names are strings
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108 - as above
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}",
            hint="check free space and who owns the folder",
        ) from None


def read_private(path: Path, *, bytes_max: int) -> bytes | None:
    """A private file's content, None where there is none.

    Raises `StorageError` for a file that others may read or write, and for one that is too large
    to be what it claims.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(f"{path} is not a regular file", hint="move it away")
            if status.st_mode & 0o077:
                raise StorageError(
                    f"{path} can be read or changed by others (mode {status.st_mode & 0o777:03o})",
                    hint=f"run: chmod 600 {path}",
                )
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"{path} cannot be read: {error.strerror}", hint="check who owns it"
        ) from None
    if len(data) > bytes_max:
        raise StorageError(f"{path} is larger than {bytes_max} bytes", hint="restore a backup")
    return data


def remove_file(path: Path) -> None:
    """Remove a file if it is there."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be removed: {error.strerror}", hint="check who owns the folder"
        ) from None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
