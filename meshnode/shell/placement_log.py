"""Rows of `placement_table` on their way to the disk: gathered for a moment, written together.

Nobody waits for them. Where more come than the disk takes, the surplus is counted and left out: a
question is not refused because its row cannot be written.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from meshnode.errors import StorageError
from meshnode.shell import placement_table

if TYPE_CHECKING:
    from meshnode.shell.journal import Journal
    from meshnode.shell.placement_table import Placement

GATHER_MS: Final = 250
WAITING_MAX: Final = 4_096


class PlacementLog:
    """The placements of one node."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[Placement] = []
        self._writing: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        """Held while rows are written: who reads waits for those that have left the list."""
        self.dropped = 0
        """Rows that found no room."""

    def add(self, placement: Placement) -> None:
        """Write a row down soon."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self._waiting.append(placement)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="write placements")

    async def read(self, *, limit: int) -> list[Placement]:
        """The newest rows first, those on their way among them. Raises `StorageError`."""
        await self._flush()
        return await self._journal.read_with(partial(placement_table.read_placements, limit=limit))

    async def close(self) -> None:
        """Write what waits."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        with suppress(StorageError):  # the journal's failure has ended the node already
            await self._flush()

    async def _write(self) -> None:
        with suppress(StorageError):
            while self._waiting:
                await asyncio.sleep(GATHER_MS / 1_000)
                await self._flush()

    async def _flush(self) -> None:
        async with self._turn:
            rows, self._waiting = self._waiting, []
            if rows:
                await self._journal.write_with(partial(placement_table.write_placements, rows=rows))
