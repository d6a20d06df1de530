"""Where a store lies: in a home folder, in a network's folder, or wherever somebody copied it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dag.genesis import GENESIS_BYTES_MAX, Genesis, decode_genesis
from meshnode.errors import MeshError, StorageError

JOURNAL_NAME: Final = "journal.db"
GENESIS_NAME: Final = "genesis.bin"


class NoStore(StorageError):
    """There is no store where one was looked for."""


@dataclass(frozen=True, slots=True)
class StoreLocation:
    """A journal and the network it belongs to."""

    journal: Path
    genesis: Genesis


def find_store(path: Path) -> StoreLocation:
    """The store a path leads to: a journal, its folder, or a home folder.

    Copies count, whoever may read them: nothing in a store is secret. Raises `StorageError`.
    """
    journal = _find_journal(path.expanduser().absolute())
    if not journal.is_file():
        raise NoStore(f"there is no store at {path}", hint="`meshnode up` makes one")
    return StoreLocation(journal, _read_genesis(journal.with_name(GENESIS_NAME)))


def find_own_store(home: Path) -> StoreLocation:
    """The store of this person's home folder, which need not be there. Raises `StorageError`."""
    if not home.is_dir():
        raise NoStore(f"home folder {home} is not there yet", hint="`meshnode up` makes it")
    return find_store(home)


def _find_journal(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise NoStore(
            f"there is nothing at {path}", hint="name a journal.db or a home folder with --store"
        )
    if (path / JOURNAL_NAME).exists():
        return path / JOURNAL_NAME
    folders = sorted((path / "networks").glob(f"*/{JOURNAL_NAME}"))
    current = _read_current(path)
    for journal in folders:
        if journal.parent.name == current:
            return journal
    if len(folders) == 1 and not current:
        return folders[0]
    if not folders:
        raise NoStore(f"there is no store in {path}", hint="`meshnode up` makes one")
    raise StorageError(
        f"{path} holds {len(folders)} stores and none of them is current",
        hint=f"name one with --store, for example {folders[0]}",
    )


def _read_current(home: Path) -> str:
    try:
        return (home / "current").read_text(encoding="ascii")[:64].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _read_genesis(path: Path) -> Genesis:
    try:
        with path.open("rb") as file:
            data = file.read(GENESIS_BYTES_MAX + 1)
    except OSError as error:
        raise StorageError(
            f"the store's genesis {path} cannot be read: {error.strerror}",
            hint=f"copy {GENESIS_NAME} beside the journal",
        ) from None
    try:
        return decode_genesis(data)
    except MeshError as error:
        raise StorageError(
            f"the store's genesis {path} is damaged: {error.message}",
            hint=f"copy {GENESIS_NAME} of another member beside the journal",
        ) from None
