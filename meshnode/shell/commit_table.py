"""The commits in the journal's file: the order as it was told, for who asks about it later.

Written in the transaction that makes their record durable, so that the table ends where the record
does. What is kept is what the application was told: index, digest, leader, time and the ids put out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dag.types import ID_BYTES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from meshnode.core.events import Committed

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS commits (position INTEGER PRIMARY KEY, digest BLOB NOT NULL,
    leader BLOB NOT NULL, time_ms INTEGER NOT NULL, said INTEGER NOT NULL, ids BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS ordered (id BLOB PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
"""
_COLUMNS: Final = "position, digest, leader, time_ms, said, ids"
_TYPES: Final = (int, bytes, bytes, int, int, bytes)
_FIND_IDS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class StoredCommit:
    """A commit as the journal remembers it."""

    index: int
    digest: bytes
    leader: bytes
    """Id of the leader's block."""
    time_ms: int
    said: int
    """So many of the vertices were said, and come first; blocks follow."""
    vertices: tuple[bytes, ...]
    """Ids, in order."""


def has_commits(connection: sqlite3.Connection) -> bool:
    """Whether the file has the table; older ones have not."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'commits'"
    return connection.execute(query).fetchone() is not None


def write_commits(connection: sqlite3.Connection, commits: Sequence[Committed]) -> None:
    """Write down what is told, inside the caller's transaction."""
    for event in commits:
        commit = event.commit
        ids = [ref.id for ref in commit.vertices]
        connection.execute(
            "INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?, ?, ?)",
            (
                commit.index,
                commit.digest,
                commit.leader,
                commit.time_ms,
                event.said,
                b"".join(ids),
            ),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO ordered VALUES (?, ?)", [(each, commit.index) for each in ids]
        )


def forget_vertices(connection: sqlite3.Connection, ids: Sequence[bytes]) -> None:
    """Forget the places of vertices that are pruned, and commits of which nothing is left.

    The last commit stays whatever it held: it says how far the order was told.
    """
    connection.executemany("DELETE FROM ordered WHERE id = ?", [(each,) for each in ids])
    connection.execute(
        "DELETE FROM commits WHERE position NOT IN (SELECT position FROM ordered) "
        "AND position < (SELECT max(position) FROM commits)"
    )


def get_last_index(connection: sqlite3.Connection) -> int:
    """The last commit that was told; 0 before the first."""
    (index,) = connection.execute("SELECT max(position) FROM commits").fetchone()
    return int(index or 0)


def read_commits(connection: sqlite3.Connection, *, after: int, limit: int) -> list[StoredCommit]:
    """The commits behind an index, in order, at most `limit`."""
    query = f"SELECT {_COLUMNS} FROM commits WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608  # constant columns
    return [_read_row(row) for row in connection.execute(query, (after, limit))]


def read_all(query: Callable[[str], sqlite3.Cursor]) -> Iterator[StoredCommit | str]:
    """Every commit in order, by a store's own query; for a damaged one what is wrong with it."""
    if not query("SELECT 1 FROM sqlite_master WHERE name = 'commits'").fetchone():
        return
    for row in query(f"SELECT {_COLUMNS} FROM commits ORDER BY position"):  # noqa: S608  # constant columns
        if tuple(type(value) for value in row) != _TYPES or len(row[-1]) % ID_BYTES:
            yield f"commit {row[0]} is damaged: its columns are not what they must be"
        else:
            yield _read_row(row)


def find_commits(connection: sqlite3.Connection, ids: Sequence[bytes]) -> dict[bytes, StoredCommit]:
    """By vertex, the commit that put it out; vertices that are not final are left out."""
    places: dict[bytes, int] = {}
    for start in range(0, len(ids), _FIND_IDS_MAX):
        chunk = tuple(ids[start : start + _FIND_IDS_MAX])
        marks = ",".join("?" * len(chunk))
        query = f"SELECT id, position FROM ordered WHERE id IN ({marks})"  # noqa: S608  # marks
        places.update(connection.execute(query, chunk).fetchall())
    query = f"SELECT {_COLUMNS} FROM commits WHERE position = ?"  # noqa: S608  # constant columns
    commits = {
        index: _read_row(connection.execute(query, (index,)).fetchone())
        for index in dict.fromkeys(places.values())
    }
    return {vertex_id: commits[index] for vertex_id, index in places.items()}


def _read_row(row: tuple[int, bytes, bytes, int, int, bytes]) -> StoredCommit:
    index, digest, leader, time_ms, said, ids = row
    vertices = tuple(ids[start : start + ID_BYTES] for start in range(0, len(ids), ID_BYTES))
    return StoredCommit(index, digest, leader, time_ms, said, vertices)
