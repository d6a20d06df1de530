"""What outlives the process."""

from __future__ import annotations

import sqlite3

import pytest

from dag.canonical import encode
from market.receipts import Receipt, SignedReceipt
from meshnode.errors import CorruptJournal, StorageError
from meshnode.trading.records import KEPT_MS, DeliveryRecords, Record

RECEIPT = Receipt(bytes(32), bytes(32), 3, 4, 10, 11, 200, bytes(32), final=False)
SIGNED = SignedReceipt(encode(RECEIPT), b"buyer", b"provider")
NOW_MS = 1_000 + KEPT_MS


async def test_records_are_there_after_a_restart(tmp_path):
    path = tmp_path / "trading.db"
    records = await DeliveryRecords.open(path, now_ms=NOW_MS)
    begun = Record(b"a" * 32, "provider", NOW_MS)
    signed = Record(b"b" * 32, "buyer", NOW_MS, SIGNED)
    for record in (begun, Record(signed.contract, "buyer", NOW_MS), signed):
        await records.put(record)
    await records.close()
    again = await DeliveryRecords.open(path, now_ms=NOW_MS)
    assert again.get(begun.contract) == begun
    assert again.get(signed.contract) == signed
    assert again.get(b"c" * 32) is None
    assert begun.receipt is None
    assert signed.receipt == RECEIPT
    await again.close()


async def test_old_records_are_forgotten(tmp_path):
    path = tmp_path / "trading.db"
    records = await DeliveryRecords.open(path, now_ms=0)
    for name, begun_ms in ((b"old", 999), (b"new", 1_000)):
        await records.put(Record(name, "buyer", begun_ms))
    await records.close()
    again = await DeliveryRecords.open(path, now_ms=NOW_MS)
    assert again.get(b"old") is None
    assert again.get(b"new") is not None
    await again.forget_before(1_001)
    assert again.get(b"new") is None
    await again.close()


async def test_records_are_refused_where_they_cannot_be_read(tmp_path):
    with pytest.raises(StorageError, match="cannot be used"):
        await DeliveryRecords.open(tmp_path, now_ms=0)
    path = tmp_path / "trading.db"
    records = await DeliveryRecords.open(path, now_ms=0)
    await records.put(Record(b"name", "buyer", 1))
    await records.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE deliveries SET signed = ?", (b"\xc1",))
    database.close()
    with pytest.raises(CorruptJournal, match="contract 6e616d65"):
        await DeliveryRecords.open(path, now_ms=0)


async def test_failure_to_write_is_told(tmp_path):
    records = await DeliveryRecords.open(tmp_path / "trading.db", now_ms=0)
    await records._run(lambda: records._database.execute("DROP TABLE deliveries"))
    with pytest.raises(StorageError, match="no such table"):
        await records.put(Record(b"name", "buyer", 1))
    await records.close()
