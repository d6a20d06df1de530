"""The model files of a home folder: `models/`, each with a note beside it of where it came from."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from meshnode.engines.base import EngineError, EngineFault
from meshnode.engines.models import BUILTIN_MODEL, resolve_model
from meshnode.errors import CommandRejected, StorageError
from meshnode.private_files import make_private_folder, read_private, write_private

FOLDER: Final = "models"
NOTE_BYTES_MAX: Final = 65_536
RESERVE_BYTES: Final = 1 << 30
"""What stays free on the disk."""
_COPY_BYTES: Final = 1 << 20


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Where a file came from, and its digest."""

    source: str
    sha256: str
    size_bytes: int
    fetched_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A model file that can be used."""

    id: str
    path: Path
    size_bytes: int
    sha256: str
    """Empty where nobody has computed it yet."""
    source: str

    @property
    def reference(self) -> str:
        """How settings name it for the embedded engine."""
        if self.source == BUILTIN_MODEL:
            return BUILTIN_MODEL
        return f"file:{self.path}#sha256={self.sha256}"


def get_folder(home: Path) -> Path:
    """The folder of model files."""
    return home / FOLDER


def list_models(home: Path) -> list[StoredModel]:
    """The bundled model where it is installed, then the files of the folder by name."""
    found = []
    with suppress(EngineError):  # the package is not installed
        found.append(_from_builtin())
    paths = sorted(get_folder(home).glob("*.gguf"))
    return found + [_from_file(path) for path in paths if path.is_file()]


def find_model(home: Path, name: str) -> StoredModel:
    """A model by its id, its file's name, a path, or a reference. Raises `MeshError`."""
    if name == BUILTIN_MODEL:
        return _from_builtin()
    stored = {key: model for model in list_models(home) for key in (model.id, model.path.name)}
    if name in stored:
        return stored[name]
    path = Path(name.removeprefix("file:").partition("#sha256=")[0]).expanduser()
    if path.is_file():
        return _from_file(path.absolute())
    raise CommandRejected(
        f"there is no model {name[:80]!r} here",
        hint="`meshnode model ls` lists what there is, `meshnode model pull` fetches more",
    )


def _from_builtin() -> StoredModel:
    model = resolve_model(BUILTIN_MODEL)
    try:
        size_bytes = model.path.stat().st_size
    except OSError:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            f"the file of {model.id} is missing",
            hint="install meshnode[local] again",
        ) from None
    return StoredModel(
        id=model.id,
        path=model.path,
        size_bytes=size_bytes,
        sha256=model.sha256,
        source=BUILTIN_MODEL,
    )


def _from_file(path: Path) -> StoredModel:
    note = read_note(path)
    size_bytes = path.stat().st_size
    if note is not None and note.size_bytes != size_bytes:
        note = None  # it was replaced by hand
    return StoredModel(
        id=path.stem.lower(),
        path=path,
        size_bytes=size_bytes,
        sha256=note.sha256 if note else "",
        source=note.source if note else f"file:{path}",
    )


def read_note(path: Path) -> Note | None:
    """The note beside a file; None where there is none that can be read."""
    try:
        data = read_private(_locate_note(path), bytes_max=NOTE_BYTES_MAX)
        return None if data is None else msgspec.json.decode(data, type=Note)
    except (StorageError, msgspec.DecodeError, ValueError, RecursionError):
        return None


def write_note(path: Path, note: Note) -> None:
    """Write down where a file came from."""
    write_private(_locate_note(path), msgspec.json.encode(note) + b"\n")


def _locate_note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def hash_file(path: Path) -> str:
    """The SHA-256 of a file. Raises `EngineError`."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EngineError(
            EngineFault.MODEL_NOT_FOUND,
            f"{path} cannot be read: {error.strerror}",
            hint="check its path",
        ) from None


def prepare_target(home: Path, file_name: str, *, force: bool) -> Path:
    """Where a file goes. Raises `CommandRejected` where one is in the way."""
    folder = get_folder(home)
    make_private_folder(folder)
    target = folder / file_name
    if target.exists() and not force:
        raise CommandRejected(
            f"{target} is there already", hint="--force replaces it, --name gives another name"
        )
    return target


def check_size(
    folder: Path, size_bytes: int, *, size_max_bytes: int, present_bytes: int = 0
) -> None:
    """Refuse what is too large, or would fill the disk. Raises `CommandRejected`."""
    if size_bytes > size_max_bytes:
        raise CommandRejected(
            f"the file has {size_bytes} bytes, more than the {size_max_bytes} that are allowed",
            hint="allow more with --max-size",
        )
    free_bytes = shutil.disk_usage(folder).free
    if size_bytes - present_bytes + RESERVE_BYTES > free_bytes:
        raise CommandRejected(
            f"the file has {size_bytes} bytes where {max(0, free_bytes - RESERVE_BYTES)} are free "
            f"(1 GiB is left for others)",
            hint="make room, or set MESHNODE_HOME to another disk",
        )


def copy_file(source: Path, target: Path, *, sha256: str, size_max_bytes: int) -> str:
    """Copy a file of this machine; its digest. Nothing is left of one that is not as expected.

    Raises `CommandRejected`, `EngineError`, `StorageError`.
    """
    source = source.expanduser()
    part = target.with_name(f".{target.name}.copy")
    digest = hashlib.sha256()
    try:
        check_size(target.parent, source.stat().st_size, size_max_bytes=size_max_bytes)
        with source.open("rb") as reading, part.open("wb") as writing:
            while data := reading.read(_COPY_BYTES):
                digest.update(data)
                writing.write(data)
            writing.flush()
            os.fsync(writing.fileno())
        found = digest.hexdigest()
        require_digest(target.name, found, sha256)
        part.replace(target)
    except OSError as error:
        raise StorageError(
            f"{source} cannot be copied: {error.strerror}", hint="check path, owner and free space"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return found


def require_digest(name: str, found: str, expected: str) -> None:
    """Refuse a file that is not the one that was meant. Raises `EngineError`."""
    if expected and found != expected:
        raise EngineError(
            EngineFault.MALFORMED,
            f"{name} has digest {found[:16]}..., not {expected[:16]}... as expected",
            hint="it is not the file that was meant; ask its publisher for the digest",
        )
