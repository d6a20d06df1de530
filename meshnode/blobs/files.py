"""Blobs on disk: where they lie, and how a crash leaves them.

    blobs/objects/ID.data, ID.record     whole ones
    blobs/partial/ID.data, ID.record     those being fetched; chunks at their places, holes between
    blobs/incoming/*                     those being put; worth nothing after a crash

A whole blob's data comes to its place by a rename, after its record. What is there of a partial one
is told by the digests of its chunks and by nothing else, so no crash can make it lie. Everything
here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

from meshnode.blobs.records import RECORD_BYTES_MAX, BlobRecord, encode_record, read_record
from meshnode.core.blob_manifest import (
    BLOB_BYTES_MAX,
    Manifest,
    compute_blob_id,
    compute_chunk_bytes,
    compute_chunk_digest,
    encode_manifest,
    make_manifest,
)
from meshnode.errors import CommandRejected, StorageError
from meshnode.private_files import make_private_folder, remove_file, write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_DATA: Final = ".data"
_RECORD: Final = ".record"


class BlobFiles:
    """The folder of a node's blobs."""

    def __init__(self, directory: Path) -> None:
        self._objects = directory / "objects"
        self._partial = directory / "partial"
        self._incoming = directory / "incoming"

    def prepare(self) -> tuple[dict[bytes, tuple[BlobRecord, int]], dict[bytes, BlobRecord]]:
        """Make the folders and clear what a crash left; answers whole blobs and partial ones.

        Of whole ones also when they were last used, in milliseconds.
        """
        for folder in (self._objects, self._partial, self._incoming):
            make_private_folder(folder)
        for path in list(self._incoming.iterdir()):
            remove_file(path)
        whole = dict(self._read_whole())
        partial = {}
        for record in _read_records(self._partial):
            if record.id in whole:
                self.remove_partial(record.id)
            else:
                partial[record.id] = record
        _remove_strays(self._objects, {blob_id.hex() for blob_id in whole})
        _remove_strays(self._partial, {blob_id.hex() for blob_id in partial})
        return whole, partial

    def _read_whole(self) -> Iterator[tuple[bytes, tuple[BlobRecord, int]]]:
        for record in _read_records(self._objects):
            path = self.get_data_path(record.id)
            try:
                status = path.stat()
            except OSError:
                continue  # the crash came between record and data
            if status.st_size == record.size_bytes:
                yield record.id, (record, int(status.st_mtime_ns // 1_000_000))
            else:
                self.demote(record)

    def get_data_path(self, blob_id: bytes) -> Path:
        """Where the content of a whole blob lies."""
        return self._objects / f"{blob_id.hex()}{_DATA}"

    def get_partial_path(self, blob_id: bytes) -> Path:
        """Where the chunks of a partial blob lie."""
        return self._partial / f"{blob_id.hex()}{_DATA}"

    def get_incoming_path(self, name: str) -> Path:
        """Where content is gathered before its id is known."""
        return self._incoming / name

    def write_record(self, record: BlobRecord) -> None:
        """Remember something else of a whole blob."""
        write_private(self._objects / f"{record.id.hex()}{_RECORD}", encode_record(record))

    def add_whole(self, record: BlobRecord, content: Path) -> None:
        """Take in a file with all content; the file is gone afterwards."""
        _sync_file(content)
        self.write_record(record)
        _move(content, self.get_data_path(record.id))

    def begin_partial(self, record: BlobRecord) -> None:
        """Make room for the chunks of a blob."""
        write_private(self._partial / f"{record.id.hex()}{_RECORD}", encode_record(record))
        path = self.get_partial_path(record.id)
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.truncate(record.size_bytes)
        except OSError as error:
            raise explain(error, path) from None

    def finish_partial(self, record: BlobRecord) -> None:
        """All chunks are there."""
        self.add_whole(record, self.get_partial_path(record.id))
        remove_file(self._partial / f"{record.id.hex()}{_RECORD}")

    def demote(self, record: BlobRecord) -> None:
        """A blob is not whole after all: keep its good chunks, so that the others are fetched."""
        write_private(self._partial / f"{record.id.hex()}{_RECORD}", encode_record(record))
        _move(self.get_data_path(record.id), self.get_partial_path(record.id))
        remove_file(self._objects / f"{record.id.hex()}{_RECORD}")

    def remove_whole(self, blob_id: bytes) -> None:
        """Forget a blob."""
        remove_file(self.get_data_path(blob_id))
        remove_file(self._objects / f"{blob_id.hex()}{_RECORD}")

    def remove_partial(self, blob_id: bytes) -> None:
        """Forget what was fetched of a blob."""
        remove_file(self.get_partial_path(blob_id))
        remove_file(self._partial / f"{blob_id.hex()}{_RECORD}")

    def touch(self, blob_id: bytes, now_ms: int) -> None:
        """Remember when a blob was used."""
        path = self.get_data_path(blob_id)
        try:
            os.utime(path, ns=(now_ms * 1_000_000, now_ms * 1_000_000))
        except OSError as error:
            raise explain(error, path) from None


class ChunkFile:
    """An open file of chunks; stays readable when the blob is moved or removed meanwhile.

    Threads may still be at work when it is closed: they find it closed, never another file.
    """

    def __init__(self, path: Path, manifest: Manifest, *, writable: bool = False) -> None:
        """Raises `StorageError`."""
        self.manifest = manifest
        self._path = path
        self._lock = threading.Lock()
        self._is_closed = False
        try:
            self._handle = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        except OSError as error:
            raise explain(error, path) from None

    @property
    def path(self) -> Path:
        """Where it lay when it was opened."""
        return self._path

    def read(self, index: int) -> bytes | None:
        """A chunk, None where what lies there is not the one that the manifest names."""
        size_bytes = self.manifest.get_chunk_size(index)
        try:
            with self._lock:
                if self._is_closed:
                    return None
                data = os.pread(self._handle, size_bytes, index * self.manifest.chunk_bytes)
        except OSError as error:
            raise explain(error, self._path) from None
        return data if self.manifest.is_chunk(index, data) else None

    def write(self, index: int, data: bytes | bytearray) -> bool:
        """Put a chunk at its place; False, and nothing is written, where it is not the chunk."""
        if not self.manifest.is_chunk(index, data):
            return False
        view, offset = memoryview(data), index * self.manifest.chunk_bytes
        try:
            with self._lock:
                while view and not self._is_closed:
                    count = os.pwrite(self._handle, view, offset)
                    view, offset = view[count:], offset + count
        except OSError as error:
            raise explain(error, self._path) from None
        return True

    def find_held(self) -> int:
        """Which chunks are there, as bits; reads all that is not a hole."""
        held = 0
        for index in self._list_written():
            if self.read(index) is not None:
                held |= 1 << index
        return held

    def _list_written(self) -> Iterator[int]:
        """Chunks where something was written; systems that know no holes name all."""
        position = 0
        while position < self.manifest.size_bytes:
            with self._lock:
                if self._is_closed:
                    return
                try:
                    start = os.lseek(self._handle, position, os.SEEK_DATA)
                except OSError:
                    return  # only a hole is left
            index = max(start, position) // self.manifest.chunk_bytes
            yield index
            position = (index + 1) * self.manifest.chunk_bytes

    def close(self) -> None:
        """Be done with it. Harmless twice."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._handle)


def digest_file(path: Path, on_progress: Callable[[int], None] | None = None) -> Manifest:
    """The manifest of a file. Raises `CommandRejected` and `StorageError`."""
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            check_size(size_bytes)
            digests = list(_digest_chunks(file, size_bytes, on_progress))
            if file.read(1) or len(digests) != -(-size_bytes // compute_chunk_bytes(size_bytes)):
                raise CommandRejected(f"{path} changes while it is read", hint="try again")
    except OSError as error:
        raise explain(error, path) from None
    return make_manifest(size_bytes, digests)


def check_size(size_bytes: int) -> None:
    """Raises `CommandRejected` for what cannot be a blob."""
    if not 1 <= size_bytes <= BLOB_BYTES_MAX:
        raise CommandRejected(
            f"a blob of {size_bytes} bytes", hint=f"a blob has 1 to {BLOB_BYTES_MAX} bytes"
        )


def make_record(manifest: Manifest, **facts: object) -> BlobRecord:
    """What is remembered of a blob with this manifest."""
    data = encode_manifest(manifest)
    facts["size_bytes"] = manifest.size_bytes
    return BlobRecord(compute_blob_id(data), data, **facts)  # type: ignore[arg-type]  # its fields


def explain(error: OSError, path: Path) -> StorageError:
    """What the disk said."""
    return StorageError(
        f"{path}: {error.strerror}", hint="check free space and who owns the folder"
    )


def _digest_chunks(
    file: BinaryIO, size_bytes: int, on_progress: Callable[[int], None] | None
) -> Iterator[bytes]:
    step, done = compute_chunk_bytes(size_bytes), 0
    while done < size_bytes and (data := file.read(min(step, size_bytes - done))):
        yield compute_chunk_digest(data)
        done += len(data)
        if on_progress is not None:
            on_progress(done)


def _read_records(folder: Path) -> Iterator[BlobRecord]:
    for path in sorted(folder.glob(f"*{_RECORD}")):
        try:
            with path.open("rb") as file:
                record = read_record(file.read(RECORD_BYTES_MAX + 1))
        except OSError as error:
            raise explain(error, path) from None
        if record is not None and path.name == f"{record.id.hex()}{_RECORD}":
            yield record


def _remove_strays(folder: Path, known: set[str]) -> None:
    for path in list(folder.iterdir()):
        if path.name.removesuffix(_DATA).removesuffix(_RECORD) not in known:
            remove_file(path)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        raise explain(error, target) from None


def _sync_file(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise explain(error, path) from None
