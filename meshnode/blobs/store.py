"""The blobs of one node: found by id, within a quota, kept or let go.

Content lies below the network's folder (`meshnode.blobs.files`). Whatever is not kept may go when
room is needed (`meshnode.core.blob_quota`): kept is what was pinned, what own vertices name, and
what is being fetched. Methods belong to the event loop; the disk is spoken to in threads.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from meshnode.blobs.errors import BlobQuotaFull, NoSuchBlob
from meshnode.blobs.files import (
    BlobFiles,
    ChunkFile,
    check_size,
    digest_file,
    explain,
    make_record,
)
from meshnode.core.blob_manifest import decode_manifest
from meshnode.core.blob_quota import Holding, choose_evictions
from meshnode.errors import CommandRejected
from meshnode.private_files import remove_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from meshnode.blobs.records import BlobRecord
    from meshnode.core.blob_manifest import Manifest

    OnProgress = Callable[[int], None]

QUOTA_BYTES_DEFAULT: Final = 4 * 1024**3
BLOBS_MAX: Final = 100_000
"""Most that a node holds, whatever their size."""


class PartialBlob:
    """A blob that is being fetched."""

    def __init__(self, record: BlobRecord, file: ChunkFile, held: int) -> None:
        self.record = record
        self.file = file
        self.held = held
        """The chunks that are there, as bits."""

    @property
    def manifest(self) -> Manifest:
        """What the whole consists of."""
        return self.file.manifest

    async def write(self, index: int, data: bytes | bytearray) -> bool:
        """Put a chunk at its place; False where it is not the chunk. Raises `StorageError`."""
        if not await asyncio.to_thread(self.file.write, index, data):
            return False
        self.held |= 1 << index
        return True


class BlobStore:
    """Made by `open_store`."""

    def __init__(
        self, files: BlobFiles, *, quota_bytes: int, read_clock_ms: Callable[[], int]
    ) -> None:
        self._files = files
        self._quota_bytes = quota_bytes
        self._read_clock_ms = read_clock_ms
        self._whole: dict[bytes, BlobRecord] = {}
        self._used_ms: dict[bytes, int] = {}
        self._partial: dict[bytes, BlobRecord] = {}
        self._active: dict[bytes, PartialBlob] = {}
        self._coming_bytes: dict[str, int] = {}
        self._lock = asyncio.Lock()

    # --- looking ---------------------------------------------------------------------------------

    @property
    def quota_bytes(self) -> int:
        """What all blobs together may take."""
        return self._quota_bytes

    @property
    def used_bytes(self) -> int:
        """What they take, or will once they are whole."""
        held = sum(holding.size_bytes for holding in self._list_holdings())
        return held + sum(self._coming_bytes.values())

    def list_whole(self) -> list[BlobRecord]:
        """Every whole blob, the newest first."""
        return sorted(self._whole.values(), key=lambda record: (-record.added_ms, record.id))

    def list_partial(self) -> list[BlobRecord]:
        """Every blob of which a part is here."""
        return sorted(self._partial.values(), key=lambda record: (-record.added_ms, record.id))

    def find(self, blob_id: bytes) -> BlobRecord | None:
        """A whole blob's record."""
        return self._whole.get(blob_id)

    def find_partial(self, blob_id: bytes) -> BlobRecord | None:
        """A partial blob's record."""
        return self._partial.get(blob_id)

    def find_active(self, blob_id: bytes) -> PartialBlob | None:
        """A blob that is being fetched now."""
        return self._active.get(blob_id)

    def find_by_prefix(self, prefix: str) -> list[BlobRecord]:
        """Blobs, whole or partial, whose id begins so in hex."""
        known = {**self._partial, **self._whole}
        return [record for blob_id, record in known.items() if blob_id.hex().startswith(prefix)]

    async def open(self, blob_id: bytes) -> ChunkFile:
        """A whole blob's content; close it afterwards. Raises `NoSuchBlob`, `StorageError`."""
        record = self._require(blob_id)
        manifest = decode_manifest(record.manifest, blob_id)
        now_ms = self._read_clock_ms()
        self._used_ms[blob_id] = now_ms
        path = self._files.get_data_path(blob_id)
        file = await asyncio.to_thread(ChunkFile, path, manifest)
        await asyncio.to_thread(self._files.touch, blob_id, now_ms)
        return file

    async def open_active(self, active: PartialBlob) -> ChunkFile:
        """What is there of a blob that is being fetched; close it afterwards."""
        path = self._files.get_partial_path(active.record.id)
        return await asyncio.to_thread(ChunkFile, path, active.manifest)

    # --- putting ---------------------------------------------------------------------------------

    async def put(
        self,
        fill: Callable[[BinaryIO], None],
        *,
        size_bytes: int,
        is_pinned: bool = False,
        is_referenced: bool = False,
        name: str = "",
        media_type: str = "",
        readers: tuple[bytes, ...] | None = None,
        on_progress: OnProgress | None = None,
    ) -> BlobRecord:
        """Keep content of this size that `fill`, called in a thread, writes to a file.

        Raises `CommandRejected`, `BlobQuotaFull`, `StorageError`.
        """
        async with self.receive(size_bytes) as path:
            await asyncio.to_thread(_write_file, path, fill)
            return await self.adopt(
                path,
                is_pinned=is_pinned,
                is_referenced=is_referenced,
                name=name,
                media_type=media_type,
                readers=readers,
                on_progress=on_progress,
            )

    @asynccontextmanager
    async def receive(self, size_bytes: int) -> AsyncIterator[Path]:
        """A file for content of at most this size, for `adopt`; gone afterwards if not adopted."""
        check_size(size_bytes)
        name = secrets.token_hex(8)
        async with self._lock:
            await self._make_room(size_bytes)
            self._coming_bytes[name] = size_bytes
        path = self._files.get_incoming_path(name)
        try:
            yield path
        finally:
            del self._coming_bytes[name]
            remove_file(path)

    async def adopt(
        self,
        path: Path,
        *,
        is_pinned: bool = False,
        is_referenced: bool = False,
        name: str = "",
        media_type: str = "",
        readers: tuple[bytes, ...] | None = None,
        on_progress: OnProgress | None = None,
    ) -> BlobRecord:
        """Take in a received file as a blob of one's own."""
        manifest = await asyncio.to_thread(digest_file, path, on_progress)
        record = make_record(
            manifest,
            name=name,
            media_type=media_type,
            added_ms=self._read_clock_ms(),
            is_own=True,
            is_pinned=is_pinned,
            is_referenced=is_referenced,
            readers=readers,
        )
        async with self._lock:
            if (known := self._whole.get(record.id)) is not None:
                return await self._change(_merge(known, record))
            await asyncio.to_thread(self._files.add_whole, record, path)
            self._note_whole(record)
            await self._forget_partial(record.id)
        return record

    # --- fetching --------------------------------------------------------------------------------

    async def begin(
        self, blob_id: bytes, manifest: bytes, *, readers: tuple[bytes, ...] | None
    ) -> PartialBlob:
        """Make room for a blob, or go on where it was left. Raises `BlobQuotaFull`."""
        assert blob_id not in self._active, "one transfer of a blob at a time"
        decoded = decode_manifest(manifest, blob_id)
        async with self._lock:
            record = self._partial.get(blob_id)
            if record is None:
                await self._make_room(decoded.size_bytes)
                record = make_record(decoded, added_ms=self._read_clock_ms(), readers=readers)
                await asyncio.to_thread(self._files.begin_partial, record)
                self._partial[blob_id] = record
            path = self._files.get_partial_path(blob_id)
            file = await asyncio.to_thread(partial(ChunkFile, path, decoded, writable=True))
            # Nothing may let it go while what is there of it is looked at.
            active = self._active[blob_id] = PartialBlob(record, file, 0)
        try:
            active.held = await asyncio.to_thread(file.find_held)
        except BaseException:
            self.pause(active)
            raise
        return active

    def pause(self, active: PartialBlob) -> None:
        """Go on another time."""
        if self._active.pop(active.record.id, None) is not None:
            active.file.close()

    async def finish(self, active: PartialBlob) -> BlobRecord:
        """Every chunk is there. Raises `StorageError`."""
        record = active.record
        async with self._lock:
            await asyncio.to_thread(self._files.finish_partial, record)
            self._partial.pop(record.id, None)
            self._note_whole(record)
        self.pause(active)
        return record

    async def demote(self, blob_id: bytes) -> None:
        """A chunk does not read as it was written: the blob has to be fetched again in part."""
        async with self._lock:
            record = self._whole.pop(blob_id, None)
            if record is None:
                return
            await asyncio.to_thread(self._files.demote, record)
            self._partial[blob_id] = record

    # --- keeping and letting go ------------------------------------------------------------------

    async def pin(self, blob_id: bytes, *, is_pinned: bool) -> BlobRecord:
        """Keep a blob whatever happens, or no longer. Raises `NoSuchBlob`."""
        async with self._lock:
            record = self._require(blob_id)
            return await self._change(msgspec.structs.replace(record, is_pinned=is_pinned))

    async def note_reference(self, blob_id: bytes) -> BlobRecord:
        """An own vertex names it: from now on it stays. Raises `NoSuchBlob`."""
        async with self._lock:
            record = self._require(blob_id)
            return await self._change(msgspec.structs.replace(record, is_referenced=True))

    async def remove(self, blob_id: bytes, *, force: bool = False) -> None:
        """Forget a blob. Raises `NoSuchBlob`, and `CommandRejected` for one that is kept."""
        async with self._lock:
            if blob_id in self._active:
                raise CommandRejected(
                    f"blob {blob_id.hex()[:12]} is being fetched", hint="try again afterwards"
                )
            if blob_id in self._partial and blob_id not in self._whole:
                await self._forget_partial(blob_id)
                return
            record = self._require(blob_id)
            if record.is_kept and not force:
                why = "is pinned" if record.is_pinned else "is named by vertices of this node"
                raise CommandRejected(f"blob {blob_id.hex()[:12]} {why}", hint="add --force")
            await self._forget_whole(blob_id)

    # --- inside ----------------------------------------------------------------------------------

    def load(
        self,
        whole: dict[bytes, tuple[BlobRecord, int]],
        partial_blobs: dict[bytes, BlobRecord],
    ) -> None:
        """What was found on the disk; called once."""
        for blob_id, (record, used_ms) in whole.items():
            self._whole[blob_id], self._used_ms[blob_id] = record, used_ms
        self._partial.update(partial_blobs)

    def _require(self, blob_id: bytes) -> BlobRecord:
        record = self._whole.get(blob_id)
        if record is None:
            raise NoSuchBlob(
                f"blob {blob_id.hex()[:12]} is not held here", hint="`meshnode blob ls` lists them"
            )
        return record

    async def _change(self, record: BlobRecord) -> BlobRecord:
        await asyncio.to_thread(self._files.write_record, record)
        self._whole[record.id] = record
        return record

    def _note_whole(self, record: BlobRecord) -> None:
        self._whole[record.id] = record
        self._used_ms[record.id] = self._read_clock_ms()

    async def _forget_whole(self, blob_id: bytes) -> None:
        await asyncio.to_thread(self._files.remove_whole, blob_id)
        del self._whole[blob_id]
        del self._used_ms[blob_id]

    async def _forget_partial(self, blob_id: bytes) -> None:
        if blob_id in self._partial and blob_id not in self._active:
            await asyncio.to_thread(self._files.remove_partial, blob_id)
            del self._partial[blob_id]

    def _list_holdings(self) -> Sequence[Holding]:
        whole = [
            Holding(
                id=blob_id,
                size_bytes=record.size_bytes,
                used_ms=self._used_ms[blob_id],
                is_kept=record.is_kept,
            )
            for blob_id, record in self._whole.items()
        ]
        return whole + [
            Holding(
                id=blob_id,
                size_bytes=record.size_bytes,
                used_ms=record.added_ms,
                is_kept=blob_id in self._active,
                is_partial=True,
            )
            for blob_id, record in self._partial.items()
            if blob_id not in self._whole
        ]

    async def _make_room(self, size_bytes: int) -> None:
        coming = sum(self._coming_bytes.values())
        going = choose_evictions(
            self._list_holdings(),
            size_bytes=size_bytes,
            quota_bytes=self._quota_bytes - coming,
        )
        if going is None or len(self._whole) + len(self._partial) - len(going) >= BLOBS_MAX:
            raise BlobQuotaFull(
                f"there is no room for {size_bytes} bytes: {self.used_bytes} of "
                f"{self._quota_bytes} bytes are taken",
                hint="unpin or remove blobs, or raise blob_quota_mib",
            )
        for blob_id in going:
            if blob_id in self._whole:
                await self._forget_whole(blob_id)
            else:
                await self._forget_partial(blob_id)


async def open_store(
    directory: Path, *, quota_bytes: int, read_clock_ms: Callable[[], int]
) -> BlobStore:
    """The blobs below a folder, as a crash or an orderly end left them. Raises `StorageError`."""
    files = BlobFiles(directory)
    store = BlobStore(files, quota_bytes=quota_bytes, read_clock_ms=read_clock_ms)
    store.load(*await asyncio.to_thread(files.prepare))
    return store


def copy_into(source: Path) -> Callable[[BinaryIO], None]:
    """For `BlobStore.put`: the content of a file."""

    def fill(target: BinaryIO) -> None:
        try:
            with source.open("rb") as file:
                shutil.copyfileobj(file, target, 1024 * 1024)
        except OSError as error:
            raise explain(error, source) from None

    return fill


def _merge(known: BlobRecord, put: BlobRecord) -> BlobRecord:
    """A blob that is there already is put: what either wants holds, and who may read adds up."""
    readers = known.readers
    if put.readers is None or (not known.is_own and known.readers == ()):
        readers = put.readers
    elif known.readers is not None:
        readers = tuple(dict.fromkeys((*known.readers, *put.readers)))
    return msgspec.structs.replace(
        known,
        name=known.name or put.name,
        media_type=known.media_type or put.media_type,
        is_own=True,
        is_pinned=known.is_pinned or put.is_pinned,
        is_referenced=known.is_referenced or put.is_referenced,
        readers=readers,
    )


def _write_file(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            fill(file)
    except OSError as error:
        raise explain(error, path) from None
