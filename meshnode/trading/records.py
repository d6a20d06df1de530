"""What must outlive this process: contracts that were begun, and the highest receipt of each.

A contract is recorded before its answer begins, so that none is served twice; a receipt before its
second signature leaves this node, or as soon as it arrives. So either side can settle after a crash.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, Literal, Self

import msgspec

from dag.canonical import encode
from market.receipts import Receipt, SignedReceipt, decode_receipt
from meshnode.errors import CorruptJournal, StorageError
from meshnode.shell.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEPT_MS: Final = 3 * 24 * 3_600_000
"""No contract lives so long: a day of delivery, and what disputes take."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS deliveries (
    contract BLOB PRIMARY KEY,
    role TEXT NOT NULL,
    begun_ms INTEGER NOT NULL,
    signed BLOB
) WITHOUT ROWID
"""

Role = Literal["buyer", "provider"]


class Record(msgspec.Struct, frozen=True):
    """A contract whose answer has begun."""

    contract: bytes
    role: Role
    begun_ms: int
    signed: SignedReceipt | None = None
    """The highest receipt with both signatures."""

    @property
    def receipt(self) -> Receipt | None:
        """What that receipt says."""
        return None if self.signed is None else decode_receipt(self.signed.receipt)


class DeliveryRecords:
    """All records, in memory and in a small database of their own."""

    def __init__(self, worker: Worker, database: sqlite3.Connection, rows: list[Record]) -> None:
        """Use `open`."""
        self._worker = worker
        self._database = database
        self._rows = {row.contract: row for row in rows}

    @classmethod
    async def open(cls, path: Path, *, now_ms: int) -> Self:
        """Read what is there. Raises `StorageError` and `CorruptJournal`."""
        worker = Worker("trading")
        try:
            database, rows = await worker.run(lambda: _open(path, now_ms - KEPT_MS))
        except BaseException:
            await worker.close()
            raise
        return cls(worker, database, rows)

    def get(self, contract: bytes) -> Record | None:
        """The record of a contract."""
        return self._rows.get(contract)

    async def put(self, record: Record) -> None:
        """Keep a record; it is durable when this returns. Raises `StorageError`."""
        self._rows[record.contract] = record
        signed = None if record.signed is None else encode(record.signed)
        row = (record.contract, record.role, record.begun_ms, signed)
        await self._run(
            lambda: self._database.execute(
                "INSERT OR REPLACE INTO deliveries VALUES (?,?,?,?)", row
            )
        )

    async def forget_before(self, time_ms: int) -> None:
        """Let go of records that began before then: their contracts have ended long ago."""
        self._rows = {key: row for key, row in self._rows.items() if row.begun_ms >= time_ms}
        await self._run(
            lambda: self._database.execute("DELETE FROM deliveries WHERE begun_ms < ?", (time_ms,))
        )

    async def close(self) -> None:
        """Write out and end."""
        await self._worker.run(self._database.close)
        await self._worker.close()

    async def _run(self, work: Callable[[], object]) -> None:
        try:
            await self._worker.run(work)
        except sqlite3.Error as error:
            raise _make_storage_error(error) from None


def _open(path: Path, since_ms: int) -> tuple[sqlite3.Connection, list[Record]]:
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(_SCHEMA)
        database.execute("DELETE FROM deliveries WHERE begun_ms < ?", (since_ms,))
        found = database.execute("SELECT contract, role, begun_ms, signed FROM deliveries")
        return database, [_read(*row) for row in found]
    except sqlite3.Error as error:
        raise _make_storage_error(error) from None


def _read(contract: bytes, role: Role, begun_ms: int, signed: bytes | None) -> Record:
    try:
        receipt = None if signed is None else msgspec.msgpack.decode(signed, type=SignedReceipt)
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptJournal(
            f"the record of contract {contract.hex()[:12]} cannot be read: {error}",
            hint="move trading.sqlite away; receipts that were not posted are lost with it",
        ) from None
    return Record(contract, role, begun_ms, receipt)


def _make_storage_error(error: sqlite3.Error) -> StorageError:
    return StorageError(
        f"the records of deliveries cannot be used: {error}",
        hint="check free space and who owns the home folder",
    )
