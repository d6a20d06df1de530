"""The journal's SQLite file: schema, appending, reading. Blocking; `journal` gives it threads.

`vertices` holds the wire bytes in admission order, so parents stand before children; `named_values`
small values of the core; `meta` the schema version and the network's id; the commits that were told
have tables of their own (see `commit_table`), and so do certified snapshots (`snapshot_table`).
Write-ahead log with `synchronous=FULL`: a transaction that was acknowledged survives a power cut.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar, assert_never
from urllib.parse import quote

from dag.types import Horizon, Kind
from dag.vertex import SignedVertex, decode_signed
from meshnode.core.effects import ForgetVertices, StoreSnapshot, StoreValue, StoreVertex
from meshnode.core.recovered import PRUNED_KEY, Recovered, decode_pruned
from meshnode.errors import CorruptJournal, InvalidMessage, StorageError
from meshnode.shell import commit_table, market_table, placement_table, snapshot_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from meshnode.core.effects import Record
    from meshnode.core.events import Committed
    from meshnode.shell.commit_table import StoredCommit

T = TypeVar("T")

FILE_NAME: Final = "journal.db"
SCHEMA_VERSION: Final = b"1"
_READ_IDS_MAX: Final = 500
"""Ids in one query; SQLite's own limit on variables is higher everywhere."""
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE vertices (position INTEGER PRIMARY KEY, id BLOB UNIQUE NOT NULL, wire BLOB NOT NULL);
CREATE TABLE named_values (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
# Many rows in one statement: each statement gives the interpreter's lock away and must win it back.
_INSERTS: Final = {
    rows: f"INSERT INTO vertices (id, wire) VALUES {', '.join(['(?, ?)'] * rows)}"  # noqa: S608  # marks
    for rows in (64, 16, 4, 1)
}
_LOG_PAGES: Final = 4_096
"""The write-ahead log is folded into the main file beyond this many pages, and in every quiet
second; 16 MB let pages that change in every transaction be folded once for many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVertex:
    """A vertex as it stands in the journal."""

    position: int
    signed: SignedVertex


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk raise into one clear `StorageError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(
            f"the disk refused the journal {path}: {error}",
            hint="check free space and permissions, then start again",
        ) from error
    except (sqlite3.DatabaseError, OverflowError) as error:
        raise CorruptJournal(
            f"the journal {path} is damaged: {error}",
            hint="`meshnode dag verify` names what is damaged",
        ) from error
    except OSError as error:
        raise StorageError(f"cannot use the journal {path}: {error.strerror}") from error


class Store:
    """One connection to a journal file. Every method blocks and belongs to one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def open(cls, directory: Path, network: bytes) -> Store:
        """Open for writing, or create. Raises `StorageError` when it is another network's."""
        path = directory / FILE_NAME
        with storage_errors(path):
            _create_file(directory, path)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            store = cls(connection, path)
            try:
                store._prepare(network)
            except BaseException:
                connection.close()
                raise
        return store

    @classmethod
    def open_readonly(cls, path: Path, *, immutable: bool = False) -> Store:
        """Open for reading beside a writer; `immutable` for a file that nobody writes."""
        mode = "mode=ro&immutable=1" if immutable else "mode=ro"
        with storage_errors(path):
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?{mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
            )
        return cls(connection, path)

    def _prepare(self, network: bytes) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        if not execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
            self._connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
            rows = [("schema", SCHEMA_VERSION), ("network", network)]
            execute("BEGIN")
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            execute("COMMIT")
        self._connection.executescript(
            commit_table.SCHEMA
            + snapshot_table.SCHEMA
            + market_table.SCHEMA
            + placement_table.SCHEMA
        )
        self.check_meta(network)

    def check_meta(self, network: bytes) -> None:
        """Refuse another schema or network. Raises `StorageError`."""
        meta = dict(self._connection.execute("SELECT key, value FROM meta").fetchall())
        if meta.get("schema") != SCHEMA_VERSION:
            raise StorageError(
                f"the journal {self._path} has schema {meta.get('schema')!r}, "
                f"this version reads {SCHEMA_VERSION!r}",
                hint="use the version that wrote it",
            )
        if meta.get("network") != network:
            raise StorageError(
                f"the journal {self._path} belongs to another network",
                hint="give each network its own folder",
            )

    def append(self, records: Sequence[Record], commits: Sequence[Committed] = ()) -> None:
        """Write records, and what of the order is told with them, durably, all or none.

        Raises `StorageError`.
        """
        with storage_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._write(records)
                commit_table.write_commits(self._connection, commits)
                market_table.write_steps(self._connection, commits)
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _write(self, records: Sequence[Record]) -> None:
        columns: list[bytes] = []
        for record in records:
            match record:
                case StoreVertex():
                    columns += (record.id, record.wire)
                case StoreValue():
                    self._write_value(record)
                case ForgetVertices():
                    query = "DELETE FROM vertices WHERE id = ?"
                    self._connection.executemany(query, [(item,) for item in record.ids])
                    commit_table.forget_vertices(self._connection, record.ids)
                case StoreSnapshot():
                    snapshot_table.write_snapshot(self._connection, record)
                case _:
                    assert_never(record)
        start = 0
        for rows, statement in _INSERTS.items():
            while len(columns) - start >= 2 * rows:
                self._connection.execute(statement, columns[start : start + 2 * rows])
                start += 2 * rows

    def _write_value(self, record: StoreValue) -> None:
        execute = self._connection.execute
        if record.value:
            execute("INSERT OR REPLACE INTO named_values VALUES (?, ?)", (record.key, record.value))
        else:
            execute("DELETE FROM named_values WHERE key = ?", (record.key,))

    def _roll_back(self) -> None:
        # SQLite itself rolls back on a full disk; asking again would then be an error of its own.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def load(self) -> Recovered:
        """Everything, in admission order. Raises `CorruptJournal` naming the first bad record."""
        with storage_errors(self._path):
            vertices = tuple(
                stored.signed for stored in self._stored(self._rows("ORDER BY position"))
            )
            values = dict(
                self._connection.execute("SELECT key, value FROM named_values").fetchall()
            )
            told = commit_table.get_last_index(self._connection)
            snapshots = snapshot_table.load_snapshots(self._connection)
        return Recovered(vertices=vertices, values=values, delivered=told, snapshots=snapshots)

    def find_floor(self) -> Horizon:
        """The lamports at or below which vertices may be missing. Raises `InvalidMessage`."""
        with storage_errors(self._path):
            snapshots = snapshot_table.load_snapshots(self._connection)
        return Recovered(snapshots=snapshots).find_horizon()

    def read_pruned(self) -> Horizon:
        """History up to here is not held. Raises `InvalidMessage` for a damaged record."""
        query = "SELECT value FROM named_values WHERE key = ?"
        with storage_errors(self._path):
            found = self._connection.execute(query, (PRUNED_KEY,)).fetchone()
        return decode_pruned(b"" if found is None else found[0])

    def read_section(
        self, index: int, section: int, *, offset: int, size_bytes: int
    ) -> tuple[int, bytes]:
        """The size of a snapshot's section, and some of it; (0, empty) where it is not held."""
        with storage_errors(self._path):
            return snapshot_table.read_section(
                self._connection, index, section, offset=offset, size_bytes=size_bytes
            )

    def read(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Wire bytes by id; ids that are not stored are left out."""
        found: dict[bytes, bytes] = {}
        with storage_errors(self._path):
            for start in range(0, len(ids), _READ_IDS_MAX):
                chunk = ids[start : start + _READ_IDS_MAX]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT id, wire FROM vertices WHERE id IN ({marks})"  # noqa: S608  # marks
                found.update(self._connection.execute(query, tuple(chunk)).fetchall())
        return found

    def read_commits(self, *, after: int, limit: int) -> list[StoredCommit]:
        """The commits behind an index, in order, at most `limit`."""
        with storage_errors(self._path):
            if not commit_table.has_commits(self._connection):
                return []
            return commit_table.read_commits(self._connection, after=after, limit=limit)

    def find_commits(self, ids: Sequence[bytes]) -> dict[bytes, StoredCommit]:
        """By vertex, the commit that put it out; vertices that are not final are left out."""
        with storage_errors(self._path):
            if not commit_table.has_commits(self._connection):
                return {}
            return commit_table.find_commits(self._connection, ids)

    def read_with(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What a table's own function reads."""
        with storage_errors(self._path):
            return read(self._connection)

    def write_with(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """What a table's own function writes, all or none."""
        with storage_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                write(self._connection)
                self._connection.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def scan(
        self, *, limit: int, kind: int | None, author: bytes | None, before: int | None
    ) -> list[StoredVertex]:
        """The newest vertices first, at most `limit`, optionally of one author.

        Of one kind, or without one everything that was said: blocks only put that in order.
        """
        found: list[StoredVertex] = []
        below = before if before is not None else 1 << 62
        with (
            storage_errors(self._path),
            closing(self._rows("WHERE position < ? ORDER BY position DESC", below)) as rows,
        ):
            for stored in self._stored(rows):
                vertex = stored.signed.vertex
                if vertex.kind == Kind.BLOCK if kind is None else vertex.kind != kind:
                    continue
                if author is not None and vertex.author != author:
                    continue
                found.append(stored)
                if len(found) >= limit:
                    break
        return found

    def _rows(self, tail: str, *parameters: int) -> sqlite3.Cursor:
        query = f"SELECT position, id, wire FROM vertices {tail}"  # noqa: S608  # constant tails
        return self._connection.execute(query, parameters)

    def _stored(self, rows: sqlite3.Cursor) -> Iterator[StoredVertex]:
        for position, vertex_id, wire in rows:
            yield StoredVertex(position=position, signed=decode_stored(position, vertex_id, wire))

    def find(self, prefix: bytes, *, limit: int) -> list[bytes]:
        """Ids that start with these bytes, ascending, at most `limit`."""
        upper = prefix + b"\xff" * 33
        query = "SELECT id FROM vertices WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?"
        with storage_errors(self._path):
            rows = self._connection.execute(query, (prefix, upper, limit)).fetchall()
        return [row[0] for row in rows]

    def checkpoint(self) -> None:
        """Move the write-ahead log into the main file, so that the one file holds everything."""
        with storage_errors(self._path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def query(self, sql: str, *parameters: int | None) -> sqlite3.Cursor:
        """Run a query of the checker's own; errors are SQLite's."""
        return self._connection.execute(sql, parameters)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def decode_stored(position: int, vertex_id: object, wire: object) -> SignedVertex:
    """Read a stored vertex and compare it with the id it is stored under.

    The columns come as whatever SQLite finds in a damaged file. Raises `CorruptJournal` naming the
    record.
    """
    if not isinstance(vertex_id, bytes) or not isinstance(wire, bytes):
        raise CorruptJournal(f"record {position} is damaged: its columns are not byte strings")
    name = f"vertex {vertex_id.hex()} (record {position})"
    try:
        signed = decode_signed(wire)
    except InvalidMessage as error:
        raise CorruptJournal(f"{name} is damaged: {error}") from error
    if signed.id != vertex_id:
        raise CorruptJournal(f"{name} is damaged: its bytes are those of {signed.id.hex()}")
    return signed


def _create_file(directory: Path, path: Path) -> None:
    """Make folder and file with their modes, and make the file's name durable."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    folder = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
