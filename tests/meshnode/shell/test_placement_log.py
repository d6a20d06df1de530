"""Where questions went: written in the background, bounded, read back newest first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshnode.errors import StorageError
from meshnode.shell import placement_log, placement_table
from meshnode.shell.journal import open_journal
from meshnode.shell.placement_log import PlacementLog
from meshnode.shell.placement_table import Placement

NETWORK = b"n" * 32


def make_row(number: int, *, allowed: bool = True) -> Placement:
    return Placement(number, "asking", b"a", b"b", "hosted", "echo", "m", allowed, "least_cost")


@pytest.fixture
async def journal(tmp_path: Path):
    journal = await open_journal(tmp_path, NETWORK)
    yield journal
    await journal.close()


async def test_rows_are_read_newest_first_those_on_their_way_among_them(journal):
    log = PlacementLog(journal)
    rows = [make_row(number, allowed=number != 2) for number in range(4)]
    for row in rows[:2]:
        log.add(row)
    assert await log.read(limit=9) == rows[1::-1]
    for row in rows[2:]:
        log.add(row)
    await log.close()
    assert await log.read(limit=3) == rows[:0:-1]


async def test_rows_are_written_without_being_asked_for(journal, monkeypatch):
    monkeypatch.setattr(placement_log, "GATHER_MS", 1)
    log = PlacementLog(journal)
    for turn in range(2):
        log.add(make_row(turn))
        assert log._writing is not None
        await log._writing
    assert (
        await journal.read_with(
            lambda connection: len(placement_table.read_placements(connection, limit=9))
        )
        == 2
    )


async def test_oldest_rows_are_forgotten(journal, monkeypatch):
    monkeypatch.setattr(placement_table, "PLACEMENTS_MAX", 2)
    log = PlacementLog(journal)
    for number in range(5):
        log.add(make_row(number))
    assert [row.time_ms for row in await log.read(limit=9)] == [4, 3]


async def test_surplus_is_counted_and_left_out(journal, monkeypatch):
    monkeypatch.setattr(placement_log, "WAITING_MAX", 1)
    log = PlacementLog(journal)
    log.add(make_row(0))
    log.add(make_row(1))
    assert log.dropped == 1
    await log.close()


async def test_disk_that_refuses_is_nobodys_failure_but_the_readers(journal, monkeypatch):
    monkeypatch.setattr(placement_log, "GATHER_MS", 1)

    async def refuse(write):
        raise StorageError("the disk is full")

    monkeypatch.setattr(journal, "write_with", refuse)
    log = PlacementLog(journal)
    log.add(make_row(0))
    assert log._writing is not None
    await log._writing
    log.add(make_row(1))
    with pytest.raises(StorageError):
        await log.read(limit=1)
    log.add(make_row(2))
    await log.close()


async def test_what_fails_half_way_is_not_written_at_all(journal):
    def fail(connection):
        placement_table.write_placements(connection, [make_row(0)])
        raise OSError(28, "no space")

    with pytest.raises(StorageError):
        await journal.write_with(fail)
    assert await PlacementLog(journal).read(limit=1) == []
    await asyncio.sleep(0)


async def test_who_reads_waits_for_rows_that_are_being_written(journal, monkeypatch):
    written, may_write = journal.write_with, asyncio.Event()
    begun = asyncio.Event()

    async def write_late(work):
        begun.set()
        await may_write.wait()
        return await written(work)

    monkeypatch.setattr(journal, "write_with", write_late)
    monkeypatch.setattr(placement_log, "GATHER_MS", 1)
    log = PlacementLog(journal)
    log.add(make_row(7))
    await begun.wait()
    reading = asyncio.create_task(log.read(limit=9))
    await asyncio.sleep(0)
    may_write.set()
    assert await reading == [make_row(7)]
    await log.close()
