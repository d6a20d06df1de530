"""Re-checks a journal from its stored bytes: ids, signatures, rules, commits and snapshots.

It changes nothing, neither the store nor the folder it lies in, and works beside a running node, on
a copy with or without its write-ahead log, and on a damaged file: damage is what it reports.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from dag.errors import InvalidMessage, InvalidVertex
from dag.genesis import Genesis, compute_network_id
from dag.identity import trust_stored, verify_vertex
from meshnode.core.store import make_intake
from meshnode.errors import CorruptJournal, StorageError
from meshnode.shell.journal import LOCK_NAME
from meshnode.shell.order_check import check_commits
from meshnode.shell.snapshot_check import Certified, check_snapshots
from meshnode.shell.store import FILE_NAME, Store, decode_stored
from meshnode.shell.wal import mend_log

if TYPE_CHECKING:
    from dag.vertex import SignedVertex

FINDINGS_MAX: Final = 1_000
"""Findings kept; more are counted."""
_BATCH: Final = 64
_SKIPS_MAX: Final = 1_000
"""Unreadable records stepped over before the rest of the file is given up."""
_ROW_PATTERN: Final = re.compile(r"\brow (\d+)\b")

_Row = tuple[int, object, object]
Progress = Callable[[int, int], None]
"""Hears how many records have been checked, and of how many; 0 where the file does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    vertex: str
    """Id of the vertex, in hex; empty for damage of the file itself."""
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What a check found."""

    vertices: int
    """Records read."""
    commits: int
    """Commits that were told, and are checked against their digests."""
    certified: Certified
    """What a quorum vouches for, instead of what lies below."""
    findings: tuple[Finding, ...]
    findings_dropped: int
    dependants: int
    """Vertices that stand on damaged ones: their rules could not be checked, they are not at fault."""

    @property
    def ok(self) -> bool:
        """Whether every byte is what it was."""
        return not self.findings


def check_journal(
    path: Path, genesis: Genesis, *, on_progress: Progress | None = None
) -> CheckReport:
    """Check a journal file. Blocks. Raises `StorageError` when there is no such file."""
    if not path.is_file():
        raise StorageError(f"there is no journal {path}", hint="name a node's journal.db")
    check = _Check(genesis)
    with _open(path, check) as store, ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        check.check_file(store)
        check.note_floor(store)
        total = _count_rows(store)
        for rows in _read_rows(store, check):
            check.check_rows(rows, threads)
            if on_progress is not None:
                on_progress(check.vertices, total)
        certified = check.check_snapshots(store)
        commits = check_commits(store, check.find, certified.digests)
    return check.report(commits, certified)


class _Check:
    """What is known while the records pass by."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._network = compute_network_id(genesis)
        self._suite = genesis.suite
        self._intake = make_intake(genesis)
        self._findings: list[Finding] = []
        self._dropped = 0
        self._vertices = 0
        self._dependants = 0
        self._absent: dict[bytes, None] = {}
        """Damaged vertices and what stands on them."""

    @property
    def vertices(self) -> int:
        """Records read so far."""
        return self._vertices

    def report(self, commits: int, certified: Certified) -> CheckReport:
        return CheckReport(
            vertices=self._vertices,
            commits=commits,
            certified=certified,
            findings=tuple(self._findings),
            findings_dropped=self._dropped,
            dependants=self._dependants,
        )

    def find(self, problem: str, vertex_id: object = b"") -> None:
        vertex = vertex_id.hex() if isinstance(vertex_id, bytes) else ""
        if len(self._findings) < FINDINGS_MAX:
            self._findings.append(Finding(vertex=vertex, problem=problem))
        else:
            self._dropped += 1

    def check_file(self, store: Store) -> None:
        """SQLite's own check, and whose journal it is."""
        try:
            store.check_meta(self._network)
        except (StorageError, sqlite3.DatabaseError) as error:
            self.find(str(error))
        try:
            for (line,) in store.query("PRAGMA integrity_check(100)"):
                if line != "ok":
                    row = _ROW_PATTERN.search(line)
                    vertex_id = _read_id(store, int(row.group(1))) if row else b""
                    self.find(f"the file is damaged: {line}", vertex_id)
        except sqlite3.DatabaseError as error:
            self.find(f"the file is damaged: {error}")

    def note_floor(self, store: Store) -> None:
        """What lies at or below the floor of a snapshot may have been pruned."""
        try:
            self._intake.advance_horizon(store.find_floor())
        except (InvalidMessage, StorageError, TypeError) as error:
            self.find(f"the newest snapshot is damaged: {error}")

    def check_snapshots(self, store: Store) -> Certified:
        """Against the vertices, which have been placed by now."""
        return check_snapshots(store, self._genesis, self._intake, self.find)

    def check_rows(self, rows: Sequence[_Row], threads: ThreadPoolExecutor) -> None:
        decoded = []
        for position, vertex_id, wire in rows:
            self._vertices += 1
            try:
                signed = decode_stored(position, vertex_id, wire)
            except CorruptJournal as error:
                self.find(str(error), vertex_id)
                self._note_absent(vertex_id)
                continue
            self._place(signed)
            decoded.append(signed)
        for signed, problem in zip(decoded, threads.map(self._verify, decoded), strict=True):
            if problem:
                self.find(problem, signed.id)

    def _note_absent(self, vertex_id: object) -> None:
        if isinstance(vertex_id, bytes):
            self._absent[vertex_id] = None

    def _place(self, signed: SignedVertex) -> None:
        """Let the DAG's own rules judge a vertex whose parents are known."""
        if any(ref.id in self._absent for ref in signed.vertex.parents):
            self._dependants += 1
            self._absent[signed.id] = None
            return
        try:
            self._intake.restore(trust_stored(signed))
        except InvalidMessage as error:
            self._absent[signed.id] = None
            self.find(self._describe(signed, error), signed.id)

    def _describe(self, signed: SignedVertex, error: InvalidMessage) -> str:
        missing = self._intake.index.find_missing(signed.vertex)
        if isinstance(error, InvalidVertex) and error.rule == "order" and missing:
            return f"its parent {missing[0].id.hex()} is not stored before it"
        return str(error)

    def _verify(self, signed: SignedVertex) -> str:
        keys = self._intake.authors.get_keys(signed.vertex.author)
        if keys is None:
            return ""  # its profile is damaged, and named
        try:
            verify_vertex(keys, self._suite, signed)
        except InvalidMessage as error:
            return str(error)
        return ""


def _read_rows(store: Store, check: _Check) -> Iterator[list[_Row]]:
    """The records in order; those that cannot be read are named and stepped over."""
    after: int | None = 0
    for _ in range(_SKIPS_MAX):
        batch: list[_Row] = []
        query = "SELECT position, id, wire FROM vertices WHERE position > ? ORDER BY position"
        try:
            for row in store.query(query, after):
                batch.append(row)
                after = row[0]
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
        except sqlite3.DatabaseError as error:
            yield batch
            after = _find_next(store, after)
            if after is None:
                check.find(f"the records cannot be read to their end: {error}")
                return
            check.find(f"record {after} cannot be read: {error}", _read_id(store, after))
        else:
            yield batch
            return


def _count_rows(store: Store) -> int:
    try:
        return int(store.query("SELECT count(*) FROM vertices").fetchone()[0])
    except sqlite3.DatabaseError:
        return 0


def _find_next(store: Store, after: int | None) -> int | None:
    """The position of the record that follows, as far as the file still shows it."""
    query = "SELECT position FROM vertices WHERE position > ? ORDER BY position LIMIT 1"
    try:
        row = store.query(query, after).fetchone()
    except sqlite3.DatabaseError:
        return None
    return None if row is None else int(row[0])


def _read_id(store: Store, position: int) -> object:
    """The id of a record, where that much can be read."""
    try:
        row = store.query("SELECT id FROM vertices WHERE position = ?", position).fetchone()
    except sqlite3.DatabaseError:
        return b""
    return b"" if row is None else row[0]


@contextmanager
def _open(path: Path, check: _Check) -> Iterator[Store]:
    """Open a journal without writing beside it."""
    log = path.with_name(f"{path.name}-wal")
    if _is_in_use(path.with_name(LOCK_NAME)):
        with _closing(Store.open_readonly(path)) as store:
            yield store
    elif not log.exists() or not log.stat().st_size:
        with _closing(Store.open_readonly(path, immutable=True)) as store:
            yield store
    else:
        with TemporaryDirectory(prefix="meshnode-check-") as folder:
            copy = Path(folder) / FILE_NAME
            shutil.copyfile(path, copy)
            mended, damaged = mend_log(log.read_bytes())
            copy.with_name(f"{FILE_NAME}-wal").write_bytes(mended)
            for frame in damaged:
                check.find(f"the write-ahead log {log.name} is damaged in frame {frame}")
            with _closing(Store.open_readonly(copy)) as store:
                yield store


@contextmanager
def _closing(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        store.close()


def _is_in_use(lock: Path) -> bool:
    """Whether a running node holds the lock; asking does not take it from anybody."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
