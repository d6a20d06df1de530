"""Results on disk, one file each, named by what was run: `folder/ab/abcdef….json`.

A file is there whole or not at all, so a sweep that was ended, even by loss of power, resumes by
skipping what is there. Folders of several machines merge by copying one over the other.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from simulations.errors import SimulationError
from simulations.results import Record, decode_record

PREFIX_CHARS = 2


class Store:
    """A folder of results; it is made when the first is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str) -> Record | None:
        """The result of a key; none if there is no file, or one that is torn or not its own."""
        return _read(self._place(key))

    def add(self, record: Record) -> None:
        """Keep a result, in place of an earlier one. Raises `SimulationError` if it cannot."""
        path = self._place(record.key)
        # Others may write the same at the same time: equal content under names of their own.
        new = path.with_name(f".{record.key}-{secrets.token_hex(4)}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                new.write_bytes(record.encode() + b"\n")
                new.replace(path)
            finally:
                new.unlink(missing_ok=True)
        except OSError as error:
            raise SimulationError(
                f"results cannot be written to {self.folder}: {error.strerror}",
                hint="choose another folder, or make room; what is there is kept",
            ) from error

    def __iter__(self) -> Iterator[Record]:
        """All results, in the order of their keys."""
        for path in sorted(self.folder.glob(f"{'[0-9a-f]' * PREFIX_CHARS}/*.json")):
            record = _read(path)
            if record is not None:
                yield record

    def _place(self, key: str) -> Path:
        return self.folder / key[:PREFIX_CHARS] / f"{key}.json"


def _read(path: Path) -> Record | None:
    try:
        record = decode_record(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    except OSError as error:
        raise SimulationError(
            f"{path} cannot be read: {error.strerror}", hint="check its owner and its permissions"
        ) from error
    return record if record.key == path.stem else None
