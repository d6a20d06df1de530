"""Certified snapshots in the journal's file.

A snapshot is kept in sections: its chain of headers first, then its parts. So a peer is sent a
piece of one without the whole being read.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from meshnode.core.recovered import StoredSnapshot

if TYPE_CHECKING:
    import sqlite3

    from meshnode.core.effects import StoreSnapshot

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS snapshots (position INTEGER NOT NULL, section INTEGER NOT NULL,
    data BLOB NOT NULL, PRIMARY KEY (position, section)) WITHOUT ROWID;
"""


def has_snapshots(connection: sqlite3.Connection) -> bool:
    """Whether the file has the table; older ones have not."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'snapshots'"
    return connection.execute(query).fetchone() is not None


def write_snapshot(connection: sqlite3.Connection, record: StoreSnapshot) -> None:
    """Write a snapshot down and delete the oldest, inside the caller's transaction."""
    snapshot = record.snapshot
    connection.execute("DELETE FROM snapshots WHERE position = ?", (snapshot.index,))
    connection.executemany(
        "INSERT INTO snapshots VALUES (?, ?, ?)",
        [
            (snapshot.index, section, data)
            for section, data in enumerate((snapshot.chain, *snapshot.parts))
        ],
    )
    newest = "SELECT DISTINCT position FROM snapshots ORDER BY position DESC LIMIT ?"
    connection.execute(
        f"DELETE FROM snapshots WHERE position NOT IN ({newest})",  # noqa: S608  # constant
        (record.kept,),
    )


def load_snapshots(connection: sqlite3.Connection) -> tuple[StoredSnapshot, ...]:
    """Every snapshot, the oldest first."""
    if not has_snapshots(connection):
        return ()
    query = "SELECT position, data FROM snapshots ORDER BY position, section"
    found = []
    for index, rows in groupby(connection.execute(query), key=itemgetter(0)):
        chain, *parts = (data for _, data in rows)
        found.append(StoredSnapshot(index, chain, tuple(parts)))
    return tuple(found)


def read_section(
    connection: sqlite3.Connection, index: int, section: int, *, offset: int, size_bytes: int
) -> tuple[int, bytes]:
    """The size of a section, and some of it; (0, empty) where it is not held."""
    query = (
        "SELECT length(data), substr(data, ?, ?) FROM snapshots WHERE position = ? AND section = ?"
    )
    row = connection.execute(query, (offset + 1, size_bytes, index, section)).fetchone()
    return (0, b"") if row is None else (int(row[0]), row[1] or b"")
