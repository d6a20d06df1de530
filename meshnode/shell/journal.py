"""The journal: what makes a vertex durable before anybody hears of it.

One file (see `store`), one lock, two threads: appends run one after the other on the first, reads
on the second over a connection of their own, so that answering a peer never delays a write. The
first failed append ends the journal for good: a disk that lost one record is not trusted with the
next, and the node stops.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from meshnode.errors import StorageError
from meshnode.shell.lockfile import LockFile
from meshnode.shell.store import FILE_NAME, Store, StoredVertex, storage_errors
from meshnode.shell.worker import Worker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshnode.core.effects import Record
    from meshnode.core.events import Committed
    from meshnode.core.recovered import Recovered
    from meshnode.shell.commit_table import StoredCommit

T = TypeVar("T")

LOCK_NAME: Final = "journal.lock"
SCAN_LIMIT_MAX: Final = 10_000
_QUIET_S: Final = 1.0
"""After this long without an append the write-ahead log is folded into the main file."""


class Journal:
    """The durable memory of a node. Made by `open_journal`."""

    def __init__(self, directory: Path, network: bytes) -> None:
        self._directory = directory
        self._network = network
        self._lock = LockFile(directory / LOCK_NAME)
        self._writes = Worker("journal-write")
        self._reads = Worker("journal-read")
        self._writer: Store | None = None
        self._reader: Store | None = None
        self._failure: StorageError | None = None
        self._quiet: asyncio.TimerHandle | None = None
        self._checkpoint: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Take the lock and open the file. Raises `StorageError`."""
        try:
            await self._writes.run(self._open)
        except BaseException:
            await self._reads.close()
            await self._writes.close()
            raise

    def _open(self) -> None:
        path = self._directory / FILE_NAME
        with storage_errors(path):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._writer = Store.open(self._directory, self._network)
            self._reader = Store.open_readonly(path)
        except BaseException:
            self._close_stores()
            raise

    async def load(self) -> Recovered:
        """Everything stored, in admission order. Raises `CorruptJournal` naming a bad record."""
        return await self._writes.run(self._get(self._writer).load)

    async def append(self, records: Sequence[Record], commits: Sequence[Committed] = ()) -> None:
        """Write records and commits in one transaction; durable when this returns.

        Raises `StorageError`.
        """
        if self._failure is not None:
            raise self._failure
        writer = self._get(self._writer)
        try:
            await self._writes.run(lambda: writer.append(records, commits))
        except StorageError as error:
            self._failure = error
            raise
        self._arm_checkpoint(writer)

    async def read(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Wire bytes by id; ids that are not stored are left out."""
        reader = self._get(self._reader)
        return await self._reads.run(lambda: reader.read(ids))

    async def read_section(
        self, index: int, section: int, *, offset: int, size_bytes: int
    ) -> tuple[int, bytes]:
        """The size of a snapshot's section, and some of it; (0, empty) where it is not held."""
        reader = self._get(self._reader)
        return await self._reads.run(
            lambda: reader.read_section(index, section, offset=offset, size_bytes=size_bytes)
        )

    async def read_commits(self, *, after: int, limit: int) -> list[StoredCommit]:
        """The commits behind an index, in order, at most `limit`."""
        reader = self._get(self._reader)
        return await self._reads.run(lambda: reader.read_commits(after=after, limit=limit))

    async def find_commits(self, ids: Sequence[bytes]) -> dict[bytes, StoredCommit]:
        """By vertex, the commit that put it out; vertices that are not final are left out."""
        reader = self._get(self._reader)
        return await self._reads.run(lambda: reader.find_commits(ids))

    async def write_with(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """What a table's own function writes, in a transaction of its own. Raises `StorageError`.

        For what this node may lose: a failure is the caller's, and does not end the journal.
        """
        writer = self._get(self._writer)
        await self._writes.run(lambda: writer.write_with(write))

    async def read_with(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What a table's own function reads."""
        reader = self._get(self._reader)
        return await self._reads.run(lambda: reader.read_with(read))

    async def scan(
        self,
        *,
        limit: int,
        kind: int | None = None,
        author: bytes | None = None,
        before: int | None = None,
    ) -> list[StoredVertex]:
        """The newest vertices first, optionally of one kind or author, or before a position."""
        reader = self._get(self._reader)
        bounded = min(limit, SCAN_LIMIT_MAX)
        return await self._reads.run(
            lambda: reader.scan(limit=bounded, kind=kind, author=author, before=before)
        )

    async def find(self, prefix: bytes, *, limit: int = 2) -> list[bytes]:
        """Ids that start with these bytes, ascending."""
        reader = self._get(self._reader)
        return await self._reads.run(lambda: reader.find(prefix, limit=limit))

    async def close(self) -> None:
        """Finish what was begun, fold the log into the main file, give the lock back."""
        self._disarm_checkpoint()
        reader, self._reader = self._reader, None  # from now on reads are refused
        try:
            # A connection that is closed under a read of another thread is undefined behaviour.
            await self._reads.close()
            if reader is not None:
                await self._writes.run(reader.close)
            if self._writer is not None:
                await self._writes.run(self._finish)
        finally:
            await self._writes.close()

    def _finish(self) -> None:
        try:
            if self._failure is None:
                self._get(self._writer).checkpoint()
        finally:
            self._close_stores()

    def _close_stores(self) -> None:
        # The writer last: the last connection to close removes the write-ahead log.
        for store in (self._reader, self._writer):
            if store is not None:
                store.close()
        self._reader = self._writer = None
        self._lock.release()

    def _arm_checkpoint(self, writer: Store) -> None:
        self._disarm_checkpoint()
        loop = asyncio.get_running_loop()
        self._quiet = loop.call_later(_QUIET_S, self._start_checkpoint, writer)

    def _disarm_checkpoint(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _start_checkpoint(self, writer: Store) -> None:
        self._quiet = None
        self._checkpoint = self._writes.start(writer.checkpoint)
        self._checkpoint.add_done_callback(self._note_checkpoint)

    def _note_checkpoint(self, done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, StorageError):
            self._failure = error

    def _get(self, store: Store | None) -> Store:
        if store is None:
            raise StorageError(f"the journal in {self._directory} is closed")
        return store


async def open_journal(directory: Path, network: bytes) -> Journal:
    """Open or create a folder's journal. Raises `StorageError`; the caller closes it."""
    journal = Journal(directory, network)
    await journal.open()
    return journal
