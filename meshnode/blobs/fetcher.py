"""The fetching side of blobs: finds holders, follows the plan, keeps what is right.

One transfer for each blob, however many wait for it; each transfer speaks to several holders, over
one stream each. `meshnode.core.blob_plan` decides what is asked of whom.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from meshnode.blobs.transfer import Transfer
from meshnode.errors import CommandRejected, NodeClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from meshnode.blobs.port import BlobPort
    from meshnode.blobs.records import BlobRecord
    from meshnode.blobs.store import BlobStore
    from meshnode.core.blob_plan import Patience

TRANSFERS_MAX: Final = 4
"""Blobs that are fetched at once; others wait their turn."""
WAITING_MAX: Final = 256
PATIENCE_MS: Final = 30_000
"""Without anything new for so long a fetch is given up; what has come stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProgress:
    """How far a fetch is."""

    size_bytes: int
    """Of the whole; 0 while nobody has said."""
    held_bytes: int
    holders: int
    """Peers that give something right now."""


class _Shared:
    """A transfer and who waits for it."""

    def __init__(self, task: asyncio.Task[BlobRecord], transfer: Transfer) -> None:
        self.task = task
        self.transfer = transfer
        self.waiters = 0


class BlobFetcher:
    """Fetches blobs from members."""

    def __init__(self, store: BlobStore, port: BlobPort, patience: Patience | None = None) -> None:
        self._store = store
        self._port = port
        self._patience = patience
        self._shared: dict[bytes, _Shared] = {}
        self._ending: dict[bytes, asyncio.Task[BlobRecord]] = {}
        self._turns = asyncio.Semaphore(TRANSFERS_MAX)

    async def fetch(
        self,
        blob_id: bytes,
        *,
        authors: Sequence[bytes] = (),
        patience_ms: int = PATIENCE_MS,
        on_progress: Callable[[FetchProgress], None] | None = None,
    ) -> BlobRecord:
        """Have a blob: from the own disk, or from whoever has it, these authors first.

        What came stays when this is cancelled or fails, and is not fetched again. Raises
        `NoSuchBlob`, `BlobQuotaFull`, `DeadlineExceeded`, `CommandRejected`.
        """
        record = self._store.find(blob_id)
        if record is not None:
            return record
        async with self._share(blob_id, tuple(authors), patience_ms) as shared:
            follower = on_progress and _make_follower(on_progress)
            if follower is not None:
                shared.transfer.followers.append(follower)
            try:
                return await asyncio.shield(shared.task)
            except asyncio.CancelledError:
                if shared.task.cancelled():
                    raise NodeClosed("the node was closed", hint="what came is kept") from None
                raise
            finally:
                if follower is not None:
                    shared.transfer.followers.remove(follower)

    async def close(self) -> None:
        """End every transfer; what has come stays on the disk."""
        tasks = [*(shared.task for shared in self._shared.values()), *self._ending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _share(
        self, blob_id: bytes, authors: tuple[bytes, ...], patience_ms: int
    ) -> AsyncIterator[_Shared]:
        """The transfer of this blob, which ends when nobody waits for it any more."""
        shared = self._shared.get(blob_id)
        if shared is None:
            shared = self._begin(blob_id, authors, patience_ms)
        shared.waiters += 1
        try:
            yield shared
        finally:
            shared.waiters -= 1
            if not shared.waiters:
                del self._shared[blob_id]
                self._end(blob_id, shared.task)

    def _end(self, blob_id: bytes, task: asyncio.Task[BlobRecord]) -> None:
        """Let a transfer end in its own time; the next one of this blob waits for it."""
        if not task.done():
            task.cancel()
            self._ending[blob_id] = task
            task.add_done_callback(partial(self._note_ended, blob_id))

    def _note_ended(self, blob_id: bytes, task: asyncio.Task[BlobRecord]) -> None:
        if self._ending.get(blob_id) is task:
            del self._ending[blob_id]
        if not task.cancelled():
            task.exception()  # it failed in the moment in which nobody wanted it any more

    def _begin(self, blob_id: bytes, authors: tuple[bytes, ...], patience_ms: int) -> _Shared:
        if len(self._shared) >= WAITING_MAX:
            raise CommandRejected(
                f"{WAITING_MAX} blobs are being fetched already", hint="wait for some of them"
            )
        transfer = Transfer(
            self._store,
            self._port,
            blob_id,
            authors=authors,
            patience_ms=patience_ms,
            patience=self._patience,
        )
        before = self._ending.get(blob_id)
        task = asyncio.create_task(self._run(transfer, before), name="fetch blob")
        shared = self._shared[blob_id] = _Shared(task, transfer)
        return shared

    async def _run(self, transfer: Transfer, before: asyncio.Task[BlobRecord] | None) -> BlobRecord:
        if before is not None:
            await asyncio.wait({before})
        async with self._turns:
            return await transfer.run()


def _make_follower(on_progress: Callable[[FetchProgress], None]) -> Callable[[Transfer], None]:
    def follow(transfer: Transfer) -> None:
        on_progress(
            FetchProgress(
                size_bytes=transfer.size_bytes,
                held_bytes=transfer.held_bytes,
                holders=transfer.giving,
            )
        )

    return follow
