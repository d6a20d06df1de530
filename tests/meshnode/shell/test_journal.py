"""The journal: what it has acknowledged survives closing, failing disks and SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from meshnode.core.effects import StoreValue, StoreVertex
from meshnode.errors import StorageError
from meshnode.shell import journal as journal_module
from meshnode.shell.journal import open_journal
from meshnode.shell.store import FILE_NAME, Store
from tests.support.dag_builder import DagBuilder

BUILDER = DagBuilder(authors=3).profiles().layer().layer()
NETWORK = BUILDER.network
RECORDS = [StoreVertex(signed.id, signed.wire) for signed in BUILDER.vertices]

APPENDER = """
import asyncio, sys
from pathlib import Path
from meshnode.core.effects import StoreValue
from meshnode.shell.journal import open_journal

async def main():
    journal = await open_journal(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
    number = int(sys.argv[3])
    while True:
        await journal.append([StoreValue(f"{number:08d}.{part}", b"x" * 3000) for part in (0, 1)])
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


async def test_journal_remembers_after_closing_and_opening(tmp_path):
    journal = await open_journal(tmp_path / "net", NETWORK)
    await journal.append(RECORDS)
    assert await journal.read([RECORDS[3].id]) == {RECORDS[3].id: RECORDS[3].wire}
    assert len(await journal.scan(limit=4)) == 4
    assert await journal.find(RECORDS[0].id[:8]) == [RECORDS[0].id]
    await journal.close()
    again = await open_journal(tmp_path / "net", NETWORK)
    assert [v.id for v in (await again.load()).vertices] == [r.id for r in RECORDS]
    await again.close()


async def test_read_under_way_ends_before_its_connection_is_closed(tmp_path, monkeypatch):
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append(RECORDS)
    reading, closed = threading.Event(), threading.Event()
    read, close = Store.read, Store.close

    def read_slowly(store, ids):
        reading.set()
        closed.wait(0.3)
        return read(store, ids)

    def close_first(store):
        close(store)
        closed.set()

    monkeypatch.setattr(Store, "read", read_slowly)
    monkeypatch.setattr(Store, "close", close_first)
    answer = asyncio.create_task(journal.read([RECORDS[3].id]))
    await asyncio.to_thread(reading.wait, 5)
    await journal.close()
    assert await answer == {RECORDS[3].id: RECORDS[3].wire}


async def test_journal_leaves_one_file_and_no_thread_after_closing(tmp_path):
    before = set(threading.enumerate())
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append(RECORDS)
    await journal.close()
    assert {path.name for path in tmp_path.iterdir()} == {"journal.db", "journal.lock"}
    assert set(threading.enumerate()) == before
    with pytest.raises(StorageError, match="is closed"):
        await journal.append(RECORDS)


async def test_journal_refuses_a_second_opener(tmp_path):
    before = set(threading.enumerate())
    journal = await open_journal(tmp_path, NETWORK)
    with pytest.raises(StorageError, match=f"open in another process, pid {os.getpid()}"):
        await open_journal(tmp_path, NETWORK)
    await journal.close()
    with pytest.raises(StorageError, match="another network"):
        await open_journal(tmp_path, bytes(32))
    assert set(threading.enumerate()) == before


async def test_journal_folds_its_log_into_one_file_when_quiet(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_QUIET_S", 0.0)
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append(RECORDS)
    await journal.append([StoreValue("after", b"1")])
    await wait_until_empty(journal, tmp_path / f"{FILE_NAME}-wal")
    assert await asyncio.to_thread(count_in_main_file, tmp_path / FILE_NAME) == len(RECORDS)
    await journal.close()


def count_in_main_file(path):
    copy = Store.open_readonly(path, immutable=True)
    try:
        return len(copy.load().vertices)
    finally:
        copy.close()


async def wait_until_empty(journal, path):
    while path.stat().st_size:
        await journal.find(b"")


async def test_journal_fails_for_good_when_an_append_failed(tmp_path, monkeypatch):
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append(RECORDS[:2])

    def refuse(self, records, commits):
        raise StorageError("the disk refused")

    monkeypatch.setattr(Store, "append", refuse)
    with pytest.raises(StorageError, match="refused"):
        await journal.append(RECORDS[2:])
    monkeypatch.undo()
    with pytest.raises(StorageError, match="refused"):
        await journal.append(RECORDS[2:])
    await journal.close()


async def test_journal_fails_for_good_when_folding_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_QUIET_S", 0.0)

    def refuse(self):
        raise StorageError("the disk refused")

    monkeypatch.setattr(Store, "checkpoint", refuse)
    journal = await open_journal(tmp_path, NETWORK)
    await journal.append(RECORDS[:2])
    while journal._failure is None:
        await journal.find(b"")
    with pytest.raises(StorageError, match="refused"):
        await journal.append([StoreValue("k", b"v")])
    await journal.close()


def test_journal_keeps_every_acknowledged_record_when_killed(tmp_path):
    acknowledged = 0
    for attempt in range(5):
        command = [sys.executable, "-c", APPENDER, str(tmp_path), NETWORK.hex(), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(10 + 7 * attempt):
                acknowledged = int(child.stdout.readline()) + 1
            child.send_signal(signal.SIGKILL)
            for line in child.stdout:
                acknowledged = int(line) + 1
        store = Store.open(tmp_path, NETWORK)
        values = store.load().values
        store.close()
        assert set(values) >= {f"{n:08d}.{part}" for n in range(acknowledged) for part in (0, 1)}
        assert len(values) % 2 == 0, "a transaction was torn"
        acknowledged = len(values) // 2
