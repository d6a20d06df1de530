"""One blob on its way here: rounds of asking who has it, sessions with holders, one plan.

A session per holder reads frames and hands whole chunks over; every event goes through the plan,
whose actions go back to the sessions. The first manifest that is the blob's own begins the plan.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from meshnode.blobs.errors import NoSuchBlob, WrongChunk
from meshnode.blobs.session import HolderSession
from meshnode.core.blob_plan import HOLDERS_MAX, AskChunk, TransferPlan
from meshnode.errors import CommandRejected, DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from meshnode.blobs.port import BlobPort
    from meshnode.blobs.records import BlobRecord
    from meshnode.blobs.store import BlobStore, PartialBlob
    from meshnode.core.blob_manifest import Manifest
    from meshnode.core.blob_plan import Action, Patience

ROUND_MS: Final = 2_000
"""How often holders are looked for while some are wanted."""
CONNECT_MS: Final = 5_000


class Transfer:
    """Made and run by `meshnode.blobs.fetcher`."""

    def __init__(
        self,
        store: BlobStore,
        port: BlobPort,
        blob_id: bytes,
        *,
        authors: Sequence[bytes],
        patience_ms: int,
        patience: Patience | None,
    ) -> None:
        self.blob_id = blob_id
        self.followers: list[Callable[[Transfer], None]] = []
        """Called after every step."""
        self._store = store
        self._port = port
        self._authors = tuple(authors)
        self._patience_ms = patience_ms
        self._patience = patience
        self._partial: PartialBlob | None = None
        self._plan: TransferPlan | None = None
        self._sessions: dict[str, HolderSession] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, None] = {}
        self._changed = asyncio.Event()
        self._beginning = asyncio.Lock()
        self._failure: BaseException | None = None
        """The own disk's, mostly: no holder can help against that."""
        self._is_busy = False
        self._moved_ms = port.read_clock_ms()

    # --- looking ---------------------------------------------------------------------------------

    @property
    def manifest(self) -> Manifest | None:
        """What the blob consists of, once somebody has said so and was right."""
        return None if self._partial is None else self._partial.manifest

    @property
    def size_bytes(self) -> int:
        """Of the whole; 0 while nobody has said."""
        return 0 if self._partial is None else self._partial.manifest.size_bytes

    @property
    def held_bytes(self) -> int:
        """About so much is there."""
        if self._partial is None:
            return 0
        manifest = self._partial.manifest
        return min(manifest.size_bytes, self._partial.held.bit_count() * manifest.chunk_bytes)

    @property
    def giving(self) -> int:
        """Holders in use."""
        return 0 if self._plan is None else len(self._plan.holders)

    @property
    def wasted_chunks(self) -> int:
        """Chunks that came although they were there already."""
        return 0 if self._plan is None else self._plan.wasted

    # --- running ---------------------------------------------------------------------------------

    async def run(self) -> BlobRecord:
        """Fetch until every chunk is there. Raises `NoSuchBlob`, `DeadlineExceeded` and others."""
        self._moved_ms = self._port.read_clock_ms()
        known = self._store.find_partial(self.blob_id)
        try:
            if known is not None:
                await self.begin(known.manifest, restricted=known.readers is not None)
            await self._fetch()
            await self._end_sessions()
            assert self._partial is not None, "a plan has its file"
            return await self._store.finish(self._partial)
        finally:
            await self._end_sessions()
            if self._partial is not None:
                self._store.pause(self._partial)

    async def _fetch(self) -> None:
        next_round_ms = self._moved_ms
        while not (self._plan is not None and self._plan.is_finished):
            if self._failure is not None:
                raise self._failure
            now_ms = self._port.read_clock_ms()
            if self._plan is not None:
                self._do(self._plan.tick(now_ms=now_ms))
            if self._wants_holders() and now_ms >= next_round_ms:
                self._begin_round()
                next_round_ms = now_ms + ROUND_MS
            self._check_hope(now_ms)
            await self._wait(self._next_ms(now_ms, next_round_ms) - now_ms)

    def _wants_holders(self) -> bool:
        return self._plan is None or self._plan.has_room

    def _next_ms(self, now_ms: int, next_round_ms: int) -> int:
        times = [self._moved_ms + self._patience_ms]
        if self._wants_holders():
            times.append(next_round_ms)
        if self._plan is not None:
            deadline_ms = self._plan.next_deadline_ms(now_ms=now_ms)
            times += [] if deadline_ms is None else [deadline_ms]
        return max(now_ms, min(times))

    async def _wait(self, wait_ms: int) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(max(1, wait_ms) / 1_000):
                await self._changed.wait()
        except TimeoutError:
            return

    def _check_hope(self, now_ms: int) -> None:
        """Raises when nobody is left who might give it, or nothing has come for long."""
        if self._plan is None and not self._tasks and not self._is_busy:
            raise NoSuchBlob(
                f"none of {len(self._asked)} connected peers gives blob {self._shown}",
                hint="connect to who holds it, and try again",
            )
        if now_ms >= self._moved_ms + self._patience_ms:
            raise DeadlineExceeded(
                f"nothing of blob {self._shown} came for {self._patience_ms} ms; "
                f"{self.held_bytes} of {self.size_bytes} bytes are here",
                hint="try again: what is here is not fetched again",
            )

    @property
    def _shown(self) -> str:
        return self.blob_id.hex()[:12]

    # --- holders ---------------------------------------------------------------------------------

    def _begin_round(self) -> None:
        """Ask those who are not in use: the authors it is known of first, then whoever is there."""
        self._is_busy = False
        by_author = {peer.author: peer.peer for peer in self._port.list_serving_peers()}
        for author in self._authors:
            if author not in by_author and author != self._port.author:
                self._begin_task(author.hex(), partial(self._connect, author))
        first = [by_author[author] for author in self._authors if author in by_author]
        for peer in dict.fromkeys((*first, *by_author.values())):
            self._begin_session(peer)

    def _begin_session(self, peer: str) -> None:
        if peer in self._tasks or len(self._sessions) >= 2 * HOLDERS_MAX:
            return
        if self._plan is not None and not self._plan.is_welcome(peer):
            return
        self._asked[peer] = None
        self._begin_task(peer, partial(self._serve_session, peer))

    def _begin_task(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name not in self._tasks:
            task = self._tasks[name] = asyncio.create_task(work(), name="blob holder")
            task.add_done_callback(partial(self._note_ended, name))

    def _note_ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(name, None)
        if not task.cancelled():
            self._failure = self._failure or task.exception()
        self._changed.set()

    async def _connect(self, author: bytes) -> None:
        try:
            found = await self._port.connect(author, timeout_ms=CONNECT_MS)
        except CommandRejected:
            return  # the node is stopping
        if found is not None:
            self._begin_session(found.peer)

    async def _serve_session(self, peer: str) -> None:
        session = self._sessions[peer] = HolderSession(self, self._port, peer)
        try:
            await session.run()
        finally:
            del self._sessions[peer]
            if self._plan is not None:
                self._do(self._plan.lose_holder(peer, now_ms=self._port.read_clock_ms()))

    async def _end_sessions(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- what sessions tell ----------------------------------------------------------------------

    async def begin(self, manifest: bytes, *, restricted: bool) -> None:
        """The blob's manifest is known. Raises `StorageError` where there is no room for it."""
        async with self._beginning:
            if self._plan is not None:
                return
            readers = () if restricted else None
            self._partial = begun = await self._store.begin(self.blob_id, manifest, readers=readers)
            # Everybody begins elsewhere, so that fetching peers have something for each other.
            start = hashlib.sha256(self._port.author + self.blob_id).digest()
            self._plan = TransferPlan(
                begun.manifest,
                held=begun.held,
                start=int.from_bytes(start[:8], "big"),
                patience=self._patience,
            )
        self._tell()

    def note_busy(self) -> None:
        """A holder has no room for a further stream: it is asked again in the next round."""
        self._is_busy = True

    def offer(self, peer: str, held: int) -> bool:
        """A holder says what it has; False where it is not needed."""
        assert self._plan is not None, "a holder is offered once the manifest is known"
        if not self._plan.is_welcome(peer):
            return False
        self._do(self._plan.add_holder(peer, held, now_ms=self._port.read_clock_ms()))
        self._tell()
        return True

    async def take(self, peer: str, index: int, data: bytearray) -> None:
        """A chunk has come, or what claims to be one."""
        assert self._plan is not None, "chunks are asked by the plan"
        assert self._partial is not None, "and it has its file"
        valid = await self._partial.write(index, data)
        now_ms = self._port.read_clock_ms()
        if valid:
            self._moved_ms = now_ms
        self._do(self._plan.take_chunk(peer, index, valid=valid, now_ms=now_ms))
        self._tell()

    def note_gone(self, peer: str, index: int) -> None:
        """A holder no longer has a chunk."""
        assert self._plan is not None, "chunks are asked by the plan"
        self._do(self._plan.note_gone(peer, index, now_ms=self._port.read_clock_ms()))

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            session = self._sessions.get(action.holder)
            if isinstance(action, AskChunk):
                if session is not None:
                    session.ask(action.index)
                continue
            if action.lied:
                self._port.report_offence(action.holder, WrongChunk(action.reason))
            if session is not None:
                session.leave()
        self._changed.set()

    def _tell(self) -> None:
        self._changed.set()
        for follower in list(self.followers):
            follower(self)
