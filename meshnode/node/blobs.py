"""What an application can do with blobs: `node.blobs`.

info = await node.blobs.put(Path("paper.pdf"), media_type="application/pdf")
await other.blobs.save(info.id, Path("copy.pdf"))
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dag.bodies import BlobNote, BlobRef, BlobResult
from dag.canonical import encode
from dag.types import BODY_BYTES_MAX, Kind
from market.attestation import holds_key
from meshnode.blob_views import BlobInfo, BlobProgress, BlobShelf
from meshnode.blobs.content import (
    copy_bytes,
    make_damaged,
    measure,
    read_overlapping,
    write_chunks,
    write_pieces,
)
from meshnode.blobs.errors import NoSuchBlob
from meshnode.blobs.fetcher import PATIENCE_MS, FetchProgress
from meshnode.blobs.records import NAME_CHARS_MAX, READERS_MAX
from meshnode.blobs.store import copy_into
from meshnode.core.blob_manifest import decode_manifest
from meshnode.errors import CommandRejected, DeadlineExceeded, StorageError
from meshnode.node.presenting import decode_body, show_vertex
from meshnode.public_text import check_public_text
from meshnode.serving.results import compute_answer_digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from dag.vertex import SignedVertex
    from meshnode.blobs.fetcher import BlobFetcher
    from meshnode.blobs.records import BlobRecord
    from meshnode.blobs.store import BlobStore
    from meshnode.node.lookup import Lookup
    from meshnode.shell.runtime import Runtime
    from meshnode.views import VertexInfo

    OnProgress = Callable[[BlobProgress], None]

MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest blob that `get` gives as one piece; larger ones are saved or read in pieces."""
REFERENCES_MAX: Final = 1_000
"""Newest results and notes that are looked through for who knows a blob."""
PROGRESS_MAX: Final = 64
_SHORT: Final = 12


class Blobs:
    """Content that is too large for a vertex; every method belongs to the node's event loop."""

    def __init__(
        self, runtime: Runtime, lookup: Lookup, store: BlobStore, fetcher: BlobFetcher
    ) -> None:
        self._runtime = runtime
        self._lookup = lookup
        self._store = store
        self._fetcher = fetcher

    @property
    def store(self) -> BlobStore:
        """Where they lie."""
        return self._store

    # --- putting ---------------------------------------------------------------------------------

    async def put(
        self,
        content: bytes | Path,
        *,
        name: str = "",
        media_type: str = "",
        readers: Sequence[str] | None = None,
        pin: bool = True,
    ) -> BlobInfo:
        """Keep content, or that of a file, and give it to members who ask for its id.

        Args:
            content: The bytes, or the path of a file that holds them.
            name: How to call it, for people; the file's name where left out.
            media_type: What it is, such as `application/pdf`.
            readers: The members (id, start of it, or name) it is given to; none for nobody else.
                Every member where left out.
            pin: Whether it stays until it is unpinned.
        """
        allowed = self.find_readers(readers)
        if isinstance(content, Path):
            name = name or content.name
            size_bytes, fill = await asyncio.to_thread(measure, content), copy_into(content)
        else:
            size_bytes, fill = len(content), copy_bytes(content)
        record = await self._store.put(
            fill,
            size_bytes=size_bytes,
            name=name[:NAME_CHARS_MAX],
            media_type=media_type[:NAME_CHARS_MAX],
            readers=allowed,
            is_pinned=pin,
        )
        return self._show(record)

    async def receive(
        self,
        pieces: AsyncIterator[bytes],
        *,
        size_bytes: int,
        name: str = "",
        media_type: str = "",
        readers: Sequence[str] | None = None,
        pin: bool = True,
    ) -> BlobInfo:
        """As `put`, for content that comes piece by piece, and must have this size."""
        allowed = self.find_readers(readers)
        async with self._store.receive(size_bytes) as path:
            await write_pieces(path, pieces, size_bytes=size_bytes)
            record = await self._store.adopt(
                path,
                name=name[:NAME_CHARS_MAX],
                media_type=media_type[:NAME_CHARS_MAX],
                readers=allowed,
                is_pinned=pin,
            )
        return self._show(record)

    async def share(
        self,
        blob_id: str,
        *,
        title: str = "",
        media_type: str = "",
        knowledge: Sequence[str] = (),
    ) -> VertexInfo:
        """Say to the mesh that there is this blob, in a note that names it; it stays from now on.

        Raises `CommandRejected` for one that not every member may have, and for one with a key in it.
        """
        record = self._find(blob_id)
        if self._store.find(record.id) is None or record.readers is not None:
            raise CommandRejected(
                f"blob {record.id.hex()[:_SHORT]} is not here as a whole, or not for every member",
                hint="put it without --to and --private, or fetch it first",
            )
        media_type = media_type or record.media_type or "application/octet-stream"
        check_public_text("the note", title, media_type)
        await self._check_content(record.id)
        known = await self._lookup.find_vertices(knowledge)
        await self._store.note_reference(record.id)
        ref = BlobRef(record.id, record.size_bytes)
        body = encode(BlobNote(media_type, title or record.name, b"", ref))
        if len(body) > BODY_BYTES_MAX:
            raise CommandRejected("the title is too long", hint="shorten it")
        signed = await self._runtime.publish(Kind.NOTE, body, tuple(each.id for each in known))
        return show_vertex(signed, self._lookup.list_names())

    async def keep_or_refuse(self, content: bytes, *, media_type: str) -> BlobRef:
        """Keep what a vertex of this node is about to name. Raises `BlobQuotaFull`."""
        record = await self._store.put(
            copy_bytes(content),
            size_bytes=len(content),
            media_type=media_type[:NAME_CHARS_MAX],
            is_referenced=True,
        )
        return BlobRef(record.id, record.size_bytes)

    async def keep(self, content: bytes, *, media_type: str) -> BlobRef | None:
        """As `keep_or_refuse`; None where there is no room for it, or the disk fails."""
        with suppress(StorageError):
            return await self.keep_or_refuse(content, media_type=media_type)
        return None

    # --- getting ---------------------------------------------------------------------------------

    async def get(self, blob_id: str, *, patience_ms: int = PATIENCE_MS) -> bytes:
        """The content, fetched where it is not here. Raises `CommandRejected` above 64 MiB."""
        info = await self.fetch(blob_id, patience_ms=patience_ms)
        if info.size_bytes > MEMORY_BYTES_MAX:
            raise CommandRejected(
                f"blob {info.id[:_SHORT]} has {info.size_bytes} bytes",
                hint="save it to a file, or read it in pieces with `open`",
            )
        async with aclosing(self.open(info.id)) as pieces:
            return b"".join([piece async for piece in pieces])

    async def save(
        self,
        blob_id: str,
        path: Path,
        *,
        patience_ms: int = PATIENCE_MS,
        on_progress: OnProgress | None = None,
    ) -> BlobInfo:
        """Write the content to a file, fetched where it is not here."""
        info = await self.fetch(blob_id, patience_ms=patience_ms, on_progress=on_progress)
        file = await self._store.open(bytes.fromhex(info.id))
        try:
            await asyncio.to_thread(write_chunks, file, path)
        finally:
            file.close()
        return info

    async def open(
        self, blob_id: str, *, patience_ms: int = PATIENCE_MS
    ) -> AsyncGenerator[bytes, None]:
        """The content piece by piece, fetched where it is not here."""
        info = await self.fetch(blob_id, patience_ms=patience_ms)
        file = await self._store.open(bytes.fromhex(info.id))
        try:
            for index in range(file.manifest.chunks):
                data = await asyncio.to_thread(file.read, index)
                if data is None:
                    await self._store.demote(bytes.fromhex(info.id))
                    raise make_damaged(file)
                yield data
        finally:
            file.close()

    async def fetch(
        self,
        blob_id: str,
        *,
        patience_ms: int = PATIENCE_MS,
        on_progress: OnProgress | None = None,
    ) -> BlobInfo:
        """Have a blob here: from its author, or from any connected member that has it.

        Given up after `patience_ms` without anything new; what has come is not fetched again.
        """
        wanted = self._parse(blob_id)
        record = self._store.find(wanted)
        if record is None:
            record = await self._fetcher.fetch(
                wanted,
                authors=await self._find_authors(wanted),
                patience_ms=patience_ms,
                on_progress=None if on_progress is None else _make_reporter(on_progress),
            )
        return self._show(record)

    async def follow(
        self, blob_id: str, *, patience_ms: int = PATIENCE_MS
    ) -> AsyncGenerator[BlobProgress, None]:
        """As `fetch`, step by step; the last item holds the blob."""
        steps: asyncio.Queue[BlobProgress] = asyncio.Queue(PROGRESS_MAX)

        def note(progress: BlobProgress) -> None:
            if not steps.full():  # who looks too slowly misses steps, never the end
                steps.put_nowait(progress)

        fetching = asyncio.create_task(
            self.fetch(blob_id, patience_ms=patience_ms, on_progress=note), name="follow blob"
        )
        try:
            while not fetching.done():
                step = asyncio.create_task(steps.get(), name="blob step")
                await asyncio.wait({fetching, step}, return_when=asyncio.FIRST_COMPLETED)
                if step.done():
                    yield step.result()
                step.cancel()
            info = await fetching
            yield BlobProgress(
                size_bytes=info.size_bytes, held_bytes=info.size_bytes, holders=0, blob=info
            )
        finally:
            fetching.cancel()
            await asyncio.wait({fetching})

    async def read_texts(
        self, vertices: Sequence[SignedVertex], *, bytes_max: int, required: bool
    ) -> dict[bytes, str]:
        """By vertex the text that its blob holds, of those that name one of at most this size.

        Where it is `required`, a text that cannot be had raises what kept it from coming.
        """
        texts: dict[bytes, str] = {}
        for signed in vertices:
            body = decode_body(signed)
            if not isinstance(body, BlobResult | BlobNote) or body.blob.size_bytes > bytes_max:
                continue
            if isinstance(body, BlobNote) and not body.media_type.startswith("text/"):
                continue
            try:
                texts[signed.id] = await self._read_text(signed, body)
            except (CommandRejected, DeadlineExceeded, StorageError):
                if required:
                    raise
        return texts

    async def _read_text(self, signed: SignedVertex, body: BlobResult | BlobNote) -> str:
        await self._fetcher.fetch(body.blob.id, authors=[signed.vertex.author])
        content = await self.get(body.blob.id.hex())
        text = content.decode(errors="replace")
        if isinstance(body, BlobResult) and compute_answer_digest(text) != body.answer_digest:
            raise CommandRejected(
                f"the blob of result {signed.id.hex()[:_SHORT]} is not the answer it signs",
                hint="do not trust its author",
            )
        return text if isinstance(body, BlobResult) or not body.title else f"{body.title}\n{text}"

    # --- looking and letting go ------------------------------------------------------------------

    async def list(self) -> BlobShelf:
        """What this node holds."""
        records = [*self._store.list_whole(), *self._store.list_partial()]
        return BlobShelf(
            blobs=tuple(self._show(record) for record in records),
            used_bytes=self._store.used_bytes,
            quota_bytes=self._store.quota_bytes,
        )

    async def show(self, blob_id: str) -> BlobInfo:
        """One that this node holds, by its id or the beginning of it."""
        return self._show(self._find(blob_id))

    async def pin(self, blob_id: str, *, pinned: bool = True) -> BlobInfo:
        """Keep one whatever happens, or no longer."""
        record = await self._store.pin(self._find(blob_id).id, is_pinned=pinned)
        return self._show(record)

    async def remove(self, blob_id: str, *, force: bool = False) -> str:
        """Forget one; with `force` also what is pinned or named by own vertices. Answers its id."""
        record = self._find(blob_id)
        await self._store.remove(record.id, force=force)
        return record.id.hex()

    # --- inside ----------------------------------------------------------------------------------

    def find_readers(self, readers: Sequence[str] | None) -> tuple[bytes, ...] | None:
        """The members that people name. Raises `CommandRejected`."""
        if readers is None:
            return None
        if len(readers) > READERS_MAX:
            raise CommandRejected(f"{len(readers)} readers", hint=f"at most {READERS_MAX}")
        return tuple(dict.fromkeys(self._lookup.find_author(each) for each in readers))

    def _show(self, record: BlobRecord) -> BlobInfo:
        readers = record.readers
        return BlobInfo(
            id=record.id.hex(),
            size_bytes=record.size_bytes,
            chunks=decode_manifest(record.manifest, record.id).chunks,
            added_ms=record.added_ms,
            whole=self._store.find(record.id) is not None,
            own=record.is_own,
            pinned=record.is_pinned,
            referenced=record.is_referenced,
            readers=None if readers is None else tuple(each.hex() for each in readers),
            name=record.name,
            media_type=record.media_type,
        )

    def _find(self, blob_id: str) -> BlobRecord:
        prefix = _check_prefix(blob_id)
        found = self._store.find_by_prefix(prefix)
        if not found:
            raise NoSuchBlob(
                f"no blob here begins with '{prefix[:_SHORT]}'",
                hint="`meshnode blob ls` lists what is here",
            )
        if len(found) > 1:
            raise CommandRejected(f"{len(found)} blobs begin with '{prefix}'", hint="more digits")
        return found[0]

    def _parse(self, blob_id: str) -> bytes:
        """A whole id, or the beginning of one that is here."""
        if len(blob_id) < 64:
            return self._find(blob_id).id
        return bytes.fromhex(_check_prefix(blob_id))

    async def _find_authors(self, blob_id: bytes) -> tuple[bytes, ...]:
        """Who has said that there is this blob, the newest first."""
        authors: dict[bytes, None] = {}
        for kind in (Kind.NOTE, Kind.RESULT):
            for stored in await self._runtime.scan(limit=REFERENCES_MAX, kind=kind):
                body = decode_body(stored.signed)
                if isinstance(body, BlobResult | BlobNote) and body.blob.id == blob_id:
                    authors[stored.signed.vertex.author] = None
        return tuple(authors)

    async def _check_content(self, blob_id: bytes) -> None:
        """Raises `CommandRejected` for content with a key in it: a vertex is for good."""
        file = await self._store.open(blob_id)
        try:
            found = await asyncio.to_thread(lambda: any(map(holds_key, read_overlapping(file))))
        finally:
            file.close()
        if found:
            raise CommandRejected(
                "the blob looks like it holds a key",
                hint="every member may have what is shared: leave the key out",
            )


def _check_prefix(text: str) -> str:
    prefix = text.lower()
    if not prefix or len(prefix) > 64 or prefix.strip("0123456789abcdef"):
        raise CommandRejected(
            f"'{text[:80]}' is no blob id", hint="give its 64 hex digits, or the first ones"
        )
    return prefix


def _make_reporter(on_progress: OnProgress) -> Callable[[FetchProgress], None]:
    def report(progress: FetchProgress) -> None:
        on_progress(
            BlobProgress(
                size_bytes=progress.size_bytes,
                held_bytes=progress.held_bytes,
                holders=progress.holders,
            )
        )

    return report
