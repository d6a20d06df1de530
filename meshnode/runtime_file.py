"""The runtime file: how commands on this machine find the running node and prove they may use it.

It is written once the node's HTTP interface listens, and removed when the node ends. A file whose
process is gone is stale and counts as none; so does one that came along with a copied home folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from meshnode.errors import NoDaemon, StorageError
from meshnode.private_files import read_private, remove_file, write_private
from meshnode.secret import Secret

RUNTIME_BYTES_MAX: Final = 4_096
_ENDED: Final = -1


class RuntimeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A running node, as its own machine sees it."""

    pid: int
    started_ticks: int
    """When the process began, in kernel ticks since boot: a recycled pid is another process."""
    api: str
    """'127.0.0.1:7077'; the host is in brackets for IPv6."""
    token: str
    since_ms: int
    version: str
    folder: int = 0
    """Inode of the home folder it was written into."""
    certificate: str = ""
    """File with the certificate that encrypts the interface; empty for plain HTTP."""

    @property
    def url(self) -> str:
        """Where the paths of the interface begin."""
        return f"{'https' if self.certificate else 'http'}://{self.api}"

    def __repr__(self) -> str:
        return f"RuntimeRecord(pid={self.pid}, api={self.api!r}, since_ms={self.since_ms})"


def make_runtime_record(
    *, api: str, token: Secret, since_ms: int, version: str, certificate: Path | None = None
) -> RuntimeRecord:
    """A record of the calling process."""
    pid = os.getpid()
    return RuntimeRecord(
        pid=pid,
        started_ticks=_read_start_ticks(pid) or 0,
        api=api,
        token=token.reveal(),
        since_ms=since_ms,
        version=version,
        certificate="" if certificate is None else str(certificate),
    )


def write_runtime(path: Path, record: RuntimeRecord) -> None:
    """Publish how to reach the calling process."""
    record = msgspec.structs.replace(record, folder=path.parent.stat().st_ino)
    write_private(path, msgspec.json.encode(record))


def remove_runtime(path: Path) -> None:
    """Take the own record away; another process's is left alone."""
    record = _read(path)
    if record is not None and record.pid == os.getpid():
        remove_file(path)


def find_runtime(path: Path) -> RuntimeRecord | None:
    """The node that runs now; None where none does, or only a stale record is left."""
    record = _read(path)
    if record is None or record.folder != path.parent.stat().st_ino:
        return None
    return record if _is_running(record) else None


def require_runtime(path: Path) -> RuntimeRecord:
    """The node that runs now. Raises `NoDaemon`."""
    record = find_runtime(path)
    if record is None:
        raise NoDaemon(
            f"no node runs for home folder {path.parent}", hint="start one with `meshnode up`"
        )
    return record


def _read(path: Path) -> RuntimeRecord | None:
    data = read_private(path, bytes_max=RUNTIME_BYTES_MAX)
    if data is None:
        return None
    try:
        return msgspec.json.decode(data, type=RuntimeRecord)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise StorageError(
            f"{path} is damaged", hint="stop the node if one runs, and remove the file"
        ) from None


def _is_running(record: RuntimeRecord) -> bool:
    ticks = _read_start_ticks(record.pid)
    if ticks is not None:
        return ticks != _ENDED and record.started_ticks in (0, ticks)
    if record.pid <= 0:
        return False
    try:
        os.kill(record.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _read_start_ticks(pid: int) -> int | None:
    """Field 22 of Linux's /proc/PID/stat; None elsewhere, `_ENDED` for a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return _ENDED if fields[0] == "Z" else int(fields[19])
